/** What a peer gets for what it should not have sent: over real sockets, each with the answer that a standard names. */
import { randomBytes } from 'node:crypto';
import { connect, createServer } from 'node:net';
import type { SecureVersion } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Server } from '../../src/index.ts';
import {
  type Credentials,
  exchange,
  issue,
  parseResponses,
  program,
  run,
  Site,
  start,
  tcp,
  tls,
  until,
} from './support.ts';

const site = new Site({
  'index.html': '<!doctype html><title>here</title>',
  'file.txt': 'the right bytes\n',
});
let credentials: Credentials;
let server: Server;
let port: number;

beforeAll(async () => {
  credentials = issue(site.directory);
  server = await start(site, credentials, {
    workers: 1,
    handshakeTimeout: 400,
    headerTimeout: 400,
    maxHandshakeBytes: 16_384,
    maxHeaderBytes: 4096,
    maxTargetBytes: 1024,
    maxBodyBytes: 1000,
    maxConnections: 40,
  });
  port = server.address.port;
});
afterAll(async () => {
  await server?.close(0);
  site.remove();
});

const counter = (name: string) => server.stats().counters[name]!;
const idle = () => until(() => server.stats().connections === 0, 'every connection to end');

/** A record: type, version, length, content. */
const record = (type: number, content: Uint8Array, length = content.length) =>
  Buffer.concat([Buffer.from([type, 3, 1, length >> 8, length & 255]), content]);

const ALERT = 21;
const HANDSHAKE = 22;
const UNEXPECTED_MESSAGE = 10;
const RECORD_OVERFLOW = 22;
const HANDSHAKE_FAILURE = 40;
const DECODE_ERROR = 50;
const PROTOCOL_VERSION = 70;

/** The alert in the clear with which a handshake ended. */
async function alertFor(bytes: Uint8Array): Promise<number> {
  const wire = await tcp(port);
  const received = await wire.write(bytes).end;
  expect([...received.bytes.subarray(0, 6)]).toEqual([ALERT, 3, 3, 0, 2, 2]);
  expect(received.bytes).toHaveLength(7);
  return received.bytes[6]!;
}

describe('on the way to a handshake', () => {
  it.each([
    'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'HEAD / HTTP/1.0\r\n\r\n',
    'POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx',
  ])('plain HTTP gets a 400 that says so, in plain HTTP: %j', async (request) => {
    const { bytes } = await (await tcp(port)).write(request).end;
    const [response] = parseResponses(bytes, ['GET']);
    expect(response!.status).toBe(400);
    expect(response!.headers.connection).toBe('close');
    expect(response!.body.toString()).toContain('https://');
  });

  it('garbage ends the handshake with an alert', async () => {
    // Nothing that begins like a record or a letter.
    const garbage = Buffer.concat([Buffer.from([0x9c]), randomBytes(300)]);
    expect([UNEXPECTED_MESSAGE, DECODE_ERROR, RECORD_OVERFLOW]).toContain(await alertFor(garbage));
  });

  it('a record over the limit is a record_overflow', async () => {
    expect(await alertFor(record(HANDSHAKE, randomBytes(100), 16_385))).toBe(RECORD_OVERFLOW);
  });

  it('an empty handshake record is an unexpected_message', async () => {
    // RFC 8446 5.1: "Implementations MUST NOT send zero-length fragments of Handshake types".
    expect([UNEXPECTED_MESSAGE, DECODE_ERROR]).toContain(
      await alertFor(record(HANDSHAKE, new Uint8Array(0))),
    );
  });

  it('application data before a handshake is an unexpected_message', async () => {
    expect(await alertFor(record(23, randomBytes(64)))).toBe(UNEXPECTED_MESSAGE);
  });

  it('a handshake message that is not a ClientHello is an unexpected_message', async () => {
    expect(await alertFor(record(HANDSHAKE, Buffer.from([20, 0, 0, 32, ...randomBytes(32)])))).toBe(
      UNEXPECTED_MESSAGE,
    );
  });

  it('a ClientHello whose lengths do not fit is a decode_error', async () => {
    const hello = Buffer.concat([
      Buffer.from([1, 0, 0, 60, 3, 3]),
      randomBytes(32),
      Buffer.from([255]),
      randomBytes(25),
    ]);
    expect(await alertFor(record(HANDSHAKE, hello))).toBe(DECODE_ERROR);
  });

  it('Slow handshake: a truncated record is waited for until the deadline, then dropped', async () => {
    const before = counter('handshake_timeout');
    const { bytes } = await (await tcp(port)).write(record(HANDSHAKE, randomBytes(100), 500)).end;
    expect(bytes).toHaveLength(0);
    expect(counter('handshake_timeout')).toBe(before + 1);
  });

  it('Slow handshake: nothing at all is waited for until the deadline too', async () => {
    const before = counter('handshake_timeout');
    await (await tcp(port)).end;
    expect(counter('handshake_timeout')).toBe(before + 1);
  });

  it('Slow handshake: more handshake bytes than allowed end the connection', async () => {
    const before = counter('handshake_too_big');
    const wire = await tcp(port);
    // A ClientHello that claims 60 KB, in records that are each fine.
    const huge = Buffer.concat([Buffer.from([1, 0, 0xea, 0x60, 3, 3]), randomBytes(60_000)]);
    for (let at = 0; at < huge.length && !wire.ended; at += 16_000) {
      wire.write(record(HANDSHAKE, huge.subarray(at, at + 16_000)));
      await new Promise((done) => setImmediate(done));
    }
    await wire.end;
    // Either the engine counted the bytes, or the handshake refused the length that was claimed.
    expect(counter('handshake_too_big') - before + server.stats().handshakes.failed).toBeGreaterThan(0);
  });

  it('a client that leaves in the middle of its handshake is forgotten', async () => {
    for (let i = 0; i < 10; ++i) {
      const wire = await tcp(port);
      wire.write(record(HANDSHAKE, randomBytes(10), 200));
      wire.socket.resetAndDestroy();
    }
    await idle();
  });

  describe.skipIf(program('openssl') === null)('openssl s_client (skipped without openssl)', () => {
    const refused = async (alert: number, ...args: string[]) => {
      const { code, stderr } = await run(
        'openssl',
        ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'localhost', ...args],
        '',
      );
      expect(code).not.toBe(0);
      expect(stderr).toContain(`SSL alert number ${alert}`);
    };
    // SECLEVEL=0: Debian's openssl does not offer TLS 1.1 otherwise.
    it('TLS 1.2 with CBC alone: handshake_failure', () =>
      refused(HANDSHAKE_FAILURE, '-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256'));
    it('TLS 1.1 only: protocol_version', () =>
      refused(PROTOCOL_VERSION, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'));
    it('TLS 1.0 only: protocol_version', () =>
      refused(PROTOCOL_VERSION, '-tls1', '-cipher', 'ALL:@SECLEVEL=0'));
    it('no group in common: handshake_failure', () => refused(HANDSHAKE_FAILURE, '-groups', 'X448'));
    it('no suite in common: handshake_failure', () =>
      refused(HANDSHAKE_FAILURE, '-ciphersuites', 'TLS_AES_128_CCM_SHA256'));
    it('no signature scheme in common: handshake_failure', () =>
      refused(HANDSHAKE_FAILURE, '-sigalgs', 'ed448'));
    it('no protocol in common by ALPN: no_application_protocol', () => refused(120, '-alpn', 'h2'));
  });

  it('an SSLv2 or SSLv3 hello gets an alert and no handshake', async () => {
    const sslv3 = Buffer.concat([
      Buffer.from([HANDSHAKE, 3, 0, 0, 45, 1, 0, 0, 41, 3, 0]),
      randomBytes(32),
      Buffer.from([0, 0, 2, 0, 10, 1, 0]),
    ]);
    expect(await alertFor(sslv3)).toBe(PROTOCOL_VERSION);
    const sslv2 = Buffer.from([0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, ...randomBytes(37)]);
    const { bytes } = await (await tcp(port)).write(sslv2).end;
    expect(bytes[0] ?? ALERT).toBe(ALERT);
  });

  it('node:tls is served with TLS 1.2 and with TLS 1.3', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as SecureVersion[]) {
      const { socket } = await tls(port, credentials, { minVersion: version, maxVersion: version });
      socket.destroy();
    }
  });

  it('after all that the next client is served', async () => {
    const { bytes } = await exchange(port, credentials, 'GET /file.txt HTTP/1.0\r\n\r\n');
    expect(parseResponses(bytes, ['GET'])[0]!.body.toString()).toBe('the right bytes\n');
  });
});

describe('after the handshake', () => {
  it('a record that does not verify ends the connection', async () => {
    const before = counter('decrypt_errors');
    expect(await tamperedConnection()).toBe('ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC');
    expect(counter('decrypt_errors')).toBe(before + 1);
  });
});

/** A TLS connection through a relay that turns a bit of the client's request; the error that the client sees. */
async function tamperedConnection(): Promise<string> {
  let armed = false;
  const relay = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    client.on('data', (chunk: Buffer) => {
      if (armed) chunk[chunk.length - 1]! ^= 1;
      upstream.write(chunk);
    });
    upstream.pipe(client);
    client.on('error', () => {});
    client.on('close', () => upstream.destroy());
    upstream.on('error', () => {});
  });
  await new Promise<void>((done) => relay.listen(0, '127.0.0.1', done));
  const wire = await tls((relay.address() as { port: number }).port, credentials);
  // Let the Finished pass; then every byte run is damaged.
  await until(() => counter('tls_active_software') > 0, 'the session');
  armed = true;
  wire.write('GET /file.txt HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const { error, bytes } = await wire.end;
  expect(bytes).toHaveLength(0);
  relay.close();
  return error;
}

describe('requests', () => {
  const statuses = async (text: string, methods: string[] = []) => {
    const { bytes, error } = await exchange(port, credentials, text);
    expect(error).toBe('');
    return parseResponses(bytes, methods).map(
      ({ status, headers }) => `${status} ${headers.connection ?? 'kept'}`,
    );
  };
  const host = 'Host: localhost\r\n';

  it('a header over the limit is a 431', async () => {
    expect(await statuses(`GET / HTTP/1.1\r\n${host}X-Long: ${'x'.repeat(5000)}\r\n\r\n`)).toEqual([
      '431 close',
    ]);
    const many = Array.from({ length: 200 }, (_, i) => `X-${i}: y\r\n`).join('');
    expect(await statuses(`GET / HTTP/1.1\r\n${host}${many}\r\n`)).toEqual(['431 close']);
  });

  it('a target over the limit is a 414', async () => {
    expect(await statuses(`GET /${'x'.repeat(1024)} HTTP/1.1\r\n${host}\r\n`)).toEqual(['414 close']);
    expect(await statuses(`GET /${'x'.repeat(9000)} HTTP/1.1\r\n${host}\r\n`)).toEqual(['414 close']);
  });

  it('a head that comes too slowly is a 408', async () => {
    const wire = await tls(port, credentials);
    wire.write('GET /file.txt HTTP/1.1\r\n');
    const trickle = setInterval(() => wire.write('X-A: b\r\n'), 50);
    const { bytes } = await wire.end;
    clearInterval(trickle);
    const [response] = parseResponses(bytes, ['GET']);
    expect(response!.status).toBe(408);
    expect(response!.headers.connection).toBe('close');
  });

  it('a connection that asks for nothing is closed in silence', async () => {
    const { bytes, error } = await (await tls(port, credentials)).end;
    expect({ bytes: bytes.length, error }).toEqual({ bytes: 0, error: '' });
  });

  it('an unknown version is a 505, a broken request line a 400', async () => {
    expect(await statuses(`GET / HTTP/2.0\r\n${host}\r\n`)).toEqual(['505 close']);
    expect(await statuses(`GET /\r\n${host}\r\n`)).toEqual(['400 close']);
    expect(await statuses(`get  / HTTP/1.1\r\n${host}\r\n`)).toEqual(['400 close']);
    expect(await statuses('\x16\x03\x01\x00\x05hello\r\n\r\n')).toEqual(['400 close']);
  });

  it('Host missing, doubled or unfit is a 400', async () => {
    expect(await statuses('GET / HTTP/1.1\r\n\r\n')).toEqual(['400 close']);
    expect(await statuses(`GET / HTTP/1.1\r\n${host}${host}\r\n`)).toEqual(['400 close']);
    expect(await statuses('GET / HTTP/1.1\r\nHost: a b\r\n\r\n')).toEqual(['400 close']);
  });

  // The second request of each is what an attacker would like to have read as a request of its own (RFC 9112, 11.2).
  const smuggled = `GET /file.txt HTTP/1.1\r\n${host}\r\n`;
  it.each([
    [
      'Content-Length and Transfer-Encoding',
      `POST / HTTP/1.1\r\n${host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ['two Content-Length fields', `POST / HTTP/1.1\r\n${host}Content-Length: 0\r\nContent-Length: 5\r\n\r\n`],
    [
      'two equal Content-Length fields',
      `POST / HTTP/1.1\r\n${host}Content-Length: 0\r\nContent-Length: 0\r\n\r\n`,
    ],
    ['a list of Content-Length values', `POST / HTTP/1.1\r\n${host}Content-Length: 0, 0\r\n\r\n`],
    ['a signed Content-Length', `POST / HTTP/1.1\r\n${host}Content-Length: +0\r\n\r\n`],
    ['a hexadecimal Content-Length', `POST / HTTP/1.1\r\n${host}Content-Length: 0x0\r\n\r\n`],
    ['chunked twice', `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
    [
      'chunked in two fields',
      `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ['a damaged chunked', `POST / HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ['chunked, identity', `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`],
    [
      'Transfer-Encoding in HTTP/1.0',
      `POST / HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n`,
    ],
    ['a folded field', `GET / HTTP/1.1\r\n${host}X-A: b\r\n\tContent-Length: 5\r\n\r\n`],
    ['a space before the colon', `GET / HTTP/1.1\r\n${host}Content-Length : 5\r\n\r\n`],
    ['a bare LF in the request line', `GET / HTTP/1.1\n${host}\r\n`],
    ['a bare LF between fields', `GET / HTTP/1.1\r\nHost: localhost\nContent-Length: 5\r\n\r\n`],
    ['a bare LF at the end', `GET / HTTP/1.1\r\nHost: localhost\r\n\n`],
    ['a bare CR in a value', `GET / HTTP/1.1\r\n${host}X-A: b\rContent-Length: 5\r\n\r\n`],
    ['a NUL in a value', `GET / HTTP/1.1\r\n${host}X-A: b\0\r\n\r\n`],
    ['a field without a name', `GET / HTTP/1.1\r\n${host}: x\r\n\r\n`],
  ])('%s is refused, and nothing behind it is read', async (_, request) => {
    const answers = await statuses(request + smuggled);
    expect(answers).toHaveLength(1);
    expect(answers[0]).toMatch(/^(?:400|501) close$/);
  });

  it('a body is skipped to its end and no further', async () => {
    const close = `GET /file.txt HTTP/1.1\r\n${host}Connection: close\r\n\r\n`;
    const chunked = `POST /file.txt HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nGET /\r\n0\r\nTrailer: z\r\n\r\n`;
    const plain = `POST /file.txt HTTP/1.1\r\n${host}Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`;
    expect(await statuses(chunked + plain + close)).toEqual(['405 kept', '405 kept', '200 close']);
  });

  it.each([
    ['a chunk size that is no number', 'zz\r\n'],
    ['a chunk that is longer than it said', '1\r\nxyz\r\n'],
    ['a chunk size that overflows', 'fffffffffffffffff\r\n'],
    ['a bare LF after a chunk size', '1\nx\r\n'],
  ])('%s ends the connection behind the answer', async (_, body) => {
    const request = `POST /file.txt HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n${body}`;
    const answers = await statuses(request + smuggled);
    expect(answers).toHaveLength(1);
    expect(answers[0]).toMatch(/^40[05]/);
  });

  it('a body over the limit is not waited for', async () => {
    const answers = await statuses(`POST /file.txt HTTP/1.1\r\n${host}Content-Length: 1001\r\n\r\n`);
    expect(answers).toEqual(['405 close']);
  });

  it.each([
    '/..%2f..%2fetc/passwd',
    '/../../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/%00',
    '/a\\..\\b',
    '//etc/passwd',
  ])('nothing outside the root: %s', async (target) => {
    const [answer] = await statuses(`GET ${target} HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
    expect(answer).toMatch(/^40[04] close$/);
  });
});

describe('too much of it', () => {
  it('connections over the limit are refused and counted, and room is found again', async () => {
    await idle();
    const before = counter('connections_rejected_limit');
    const wires = await Promise.all(Array.from({ length: 60 }, () => tcp(port)));
    await until(() => counter('connections_rejected_limit') === before + 20, '20 refusals');
    expect(server.stats().connections).toBeLessThanOrEqual(40);
    await Promise.all(wires.map((wire) => wire.end));
    await idle();
    const { bytes } = await exchange(port, credentials, 'GET /file.txt HTTP/1.0\r\n\r\n');
    expect(parseResponses(bytes, ['GET'])[0]!.status).toBe(200);
  });
});

/** Every client gets the right bytes: sizes about the edges of pages and records, every suite, key type and group. */

import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, get } from 'node:https';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Server } from '../../src/index.ts';
import { type Credentials, issue, program, run, Site, start, track } from './support.ts';

const MB = 1_000_000;
const SIZES = [0, 1, 4095, 4096, 4097, 16383, 16384, 16385, 100_000, MB + 1, 10 * MB, 100 * MB];
const SMALL = SIZES.filter((size) => size <= 10 * MB);
const HUGE = 1 << 30;

const SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

const site = new Site();
let credentials: Credentials;
let server: Server;
let port: number;
const wanted = new Map<string, string>();

const digest = (stream: Readable): Promise<{ hash: string; length: number }> =>
  new Promise((done, failed) => {
    const hash = createHash('sha256');
    let length = 0;
    stream.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      length += chunk.length;
    });
    stream.on('end', () => done({ hash: hash.digest('hex'), length }));
    stream.on('error', failed);
  });

/** A program's standard output, hashed as it comes. */
async function piped(command: string, args: readonly string[], request?: string) {
  const child = track(spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] }));
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  child.stdin.on('error', () => {});
  // Standard input stays open: some clients take its end for the end of the connection.
  if (request !== undefined) child.stdin.write(request);
  const exit = new Promise<number | null>((done) => child.once('close', done));
  return { stream: child.stdout, exit, errors: () => errors };
}

/** Hash of what follows the head of an HTTP response in `stream`. */
function bodyDigest(stream: Readable): Promise<{ hash: string; length: number; head: string }> {
  return new Promise((done, failed) => {
    const hash = createHash('sha256');
    let head = Buffer.alloc(0);
    let body = false;
    let length = 0;
    const take = (bytes: Buffer) => {
      hash.update(bytes);
      length += bytes.length;
    };
    stream.on('data', (chunk: Buffer) => {
      if (body) return take(chunk);
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      body = true;
      take(head.subarray(end + 4));
      head = head.subarray(0, end);
    });
    stream.on('end', () => done({ hash: hash.digest('hex'), length, head: head.toString('latin1') }));
    stream.on('error', failed);
  });
}

beforeAll(async () => {
  credentials = issue(site.directory);
  for (const size of SIZES) {
    // 100 MB of fresh random bytes would only cost time: a random period that no record size divides does as well.
    const content = size <= 10 * MB ? randomBytes(size) : Buffer.alloc(size, randomBytes(99_991));
    site.plant(`${size}.bin`, content);
    wanted.set(`${size}.bin`, createHash('sha256').update(content).digest('hex'));
  }
  const fd = openSync(site.file('huge.bin'), 'w');
  ftruncateSync(fd, HUGE);
  for (const at of [0, 4095, 123_456_789, 2 ** 29 - 7, HUGE - 50_000])
    writeSync(fd, randomBytes(50_000), 0, 50_000, at);
  closeSync(fd);
  server = await start(site, credentials);
  port = server.address.port;
});

afterAll(async () => {
  await server?.close(0);
  site.remove();
});

const url = (name: string) => `https://localhost:${port}/${name}`;

describe.skipIf(program('curl') === null)('curl (skipped without curl)', () => {
  const curl = (...args: string[]) => [
    ...[
      '--silent',
      '--show-error',
      '--fail',
      '--cacert',
      credentials.ca,
      '--connect-to',
      `localhost:${port}:127.0.0.1:${port}`,
    ],
    ...args,
  ];

  it('fetches every size over one connection', async () => {
    const names = SIZES.map((size) => `${size}.bin`);
    const outputs = names.flatMap((name) => ['-o', site.path(`curl-${name}`), url(name)]);
    const { code, stderr } = await run('curl', curl('-w', '%{num_connects}\n', ...outputs), '');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    for (const name of names) {
      const got = await digest(createReadStream(site.path(`curl-${name}`)));
      expect({ name, ...got }).toEqual({ name, hash: wanted.get(name), length: Number.parseInt(name, 10) });
    }
  });

  it('fetches a gibibyte', async () => {
    const { stream, exit, errors } = await piped('curl', curl('--no-buffer', url('huge.bin')));
    const [got, file] = await Promise.all([digest(stream), digest(createReadStream(site.file('huge.bin')))]);
    expect(errors()).toBe('');
    expect(await exit).toBe(0);
    expect(got).toEqual({ hash: file.hash, length: HUGE });
  });

  it.each(SUITES)('with %s', async (suite) => {
    const output = site.path(`suite-${suite}`);
    const { code, stderr } = await run(
      'curl',
      curl('-v', '--tls13-ciphers', suite, '-o', output, url(`${MB + 1}.bin`)),
      '',
    );
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(`SSL connection using TLSv1.3 / ${suite}`);
    expect(stderr).toMatch(/ALPN.*http\/1\.1/);
    expect((await digest(createReadStream(output))).hash).toBe(wanted.get(`${MB + 1}.bin`));
  });
});

describe.skipIf(program('openssl') === null)('openssl s_client (skipped without openssl)', () => {
  const connect = (...args: string[]) => [
    ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'localhost', '-CAfile', credentials.ca],
    ...['-verify_return_error', '-brief', '-ign_eof', ...args],
  ];
  const fetch = async (name: string, ...args: string[]) => {
    const { stream, exit, errors } = await piped(
      'openssl',
      connect(...args),
      `GET /${name} HTTP/1.0\r\n\r\n`,
    );
    const got = await bodyDigest(stream);
    expect(await exit, errors()).toBe(0);
    return { ...got, info: errors() };
  };

  it('fetches every size with HTTP/1.0, ended by close_notify', async () => {
    for (const size of SIZES) {
      const { hash, length, info } = await fetch(`${size}.bin`);
      expect({ size, hash, length }).toEqual({ size, hash: wanted.get(`${size}.bin`), length: size });
      expect(info).not.toMatch(/error|unexpected eof/i);
    }
  });

  const algorithms = [
    { name: 'ECDSA', sigalgs: 'ecdsa_secp256r1_sha256', shown: 'ECDSA' },
    { name: 'RSA', sigalgs: 'rsa_pss_rsae_sha256', shown: 'RSA-PSS' },
  ];
  const groups = [
    { name: 'X25519', groups: 'X25519', hellos: 1, shown: 'X25519' },
    { name: 'P-256', groups: 'P-256', hellos: 1, shown: /P-256|prime256v1/ },
    { name: 'X25519 though P-256 was offered too', groups: 'X25519:P-256', hellos: 1, shown: 'X25519' },
    { name: 'P-256 after a HelloRetryRequest', groups: 'X448:P-256', hellos: 2, shown: /P-256|prime256v1/ },
    { name: 'X25519 after a HelloRetryRequest', groups: 'P-521:X25519', hellos: 2, shown: 'X25519' },
  ];
  for (const algorithm of algorithms)
    for (const suite of SUITES)
      for (const group of groups)
        it(`${algorithm.name}, ${suite}, ${group.name}`, async () => {
          const messages = site.path(`msg-${algorithm.name}-${suite}-${group.groups}`);
          const { hash, info } = await fetch(
            '100000.bin',
            ...['-sigalgs', algorithm.sigalgs, '-ciphersuites', suite, '-groups', group.groups],
            ...['-msg', '-msgfile', messages],
          );
          expect(hash).toBe(wanted.get('100000.bin'));
          expect(info).toContain(`Ciphersuite: ${suite}`);
          expect(info).toMatch(new RegExp(`Signature type: ${algorithm.shown}`));
          expect(info).toMatch(typeof group.shown === 'string' ? new RegExp(group.shown) : group.shown);
          const hellos = readFileSync(messages, 'latin1').match(/^>>> .*ClientHello$/gm) ?? [];
          expect(hellos).toHaveLength(group.hellos);
        });
});

describe.skipIf(program('gnutls-cli') === null)('gnutls-cli (skipped without gnutls-bin)', () => {
  // It writes every byte with a system call of its own: ten megabytes would take it half a minute.
  it.each(SIZES.filter((size) => size <= 2 * MB))('fetches %i bytes', async (size) => {
    const { stream, exit, errors } = await piped(
      'gnutls-cli',
      [
        ...['--x509cafile', credentials.ca, '--port', String(port), '--logfile', site.path(`gnutls-${size}`)],
        ...['--verify-hostname', 'localhost', '--disable-sni', '127.0.0.1'],
      ],
      `GET /${size}.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    );
    const { hash, length, head } = await bodyDigest(stream);
    await exit;
    expect(head, errors()).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect({ hash, length }).toEqual({ hash: wanted.get(`${size}.bin`), length: size });
  });
});

describe('node:https', () => {
  const fetch = (name: string, agent: Agent) =>
    new Promise<IncomingMessage>((done, failed) => {
      get({ host: '127.0.0.1', port, servername: 'localhost', path: `/${name}`, agent }, done).on(
        'error',
        failed,
      );
    });

  it('fetches every size, four at a time over kept connections', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 4, ca: readFileSync(credentials.ca) });
    const names = SIZES.map((size) => `${size}.bin`);
    const results = await Promise.all(
      names.map(async (name) => {
        const response = await fetch(name, agent);
        expect(response.statusCode).toBe(200);
        expect(response.headers['content-length']).toBe(String(statSync(site.file(name)).size));
        return { name, ...(await digest(response)) };
      }),
    );
    agent.destroy();
    for (const { name, hash } of results) expect({ name, hash }).toEqual({ name, hash: wanted.get(name) });
  });

  it.each(SMALL)('fetches %i bytes on a fresh connection', async (size) => {
    const agent = new Agent({ keepAlive: false, ca: readFileSync(credentials.ca) });
    const { hash, length } = await digest(await fetch(`${size}.bin`, agent));
    expect({ hash, length }).toEqual({ hash: wanted.get(`${size}.bin`), length: size });
  });
});

/**
 * What is on the wire, against an oracle: a relay keeps the ciphertext, the client tells its secrets (keylog), and
 * node:crypto opens every record and seals it again. Nothing of this repository's record layer takes part.
 */

import { spawn } from 'node:child_process';
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Server } from '../../src/index.ts';
import { handshakesOf, planeWith } from './plane.ts';
import {
  type Credentials,
  exchange,
  issue,
  program,
  Site,
  sha256,
  start,
  track,
  until,
  Wire,
} from './support.ts';

// ── RFC 8446 by node:crypto ──────────────────────────────────────────────────────────────────────────

interface Suite {
  readonly cipher: 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305';
  readonly hash: 'sha256' | 'sha384';
  readonly keyLength: number;
}
const SUITES: Readonly<Record<string, Suite>> = {
  TLS_AES_128_GCM_SHA256: { cipher: 'aes-128-gcm', hash: 'sha256', keyLength: 16 },
  TLS_AES_256_GCM_SHA384: { cipher: 'aes-256-gcm', hash: 'sha384', keyLength: 32 },
  TLS_CHACHA20_POLY1305_SHA256: { cipher: 'chacha20-poly1305', hash: 'sha256', keyLength: 32 },
};

/** HKDF-Expand-Label of 7.1, with an empty context and at most one block of output. */
function expandLabel(suite: Suite, secret: Buffer, label: string, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.from([0, length, name.length]), name, Buffer.from([0, 1])]);
  return createHmac(suite.hash, secret).update(info).digest().subarray(0, length);
}

interface Inner {
  readonly type: number;
  readonly content: Buffer;
}

/** The keys of one direction in one epoch, and the number of its next record. */
class Epoch {
  readonly #suite: Suite;
  readonly #secret: Buffer;
  readonly #key: Buffer;
  readonly #iv: Buffer;
  recordSeq = 0n;

  constructor(suite: Suite, secret: Buffer) {
    this.#suite = suite;
    this.#secret = secret;
    this.#key = expandLabel(suite, secret, 'key', suite.keyLength);
    this.#iv = expandLabel(suite, secret, 'iv', 12);
  }
  next(): Epoch {
    return new Epoch(this.#suite, expandLabel(this.#suite, this.#secret, 'traffic upd', this.#secret.length));
  }
  /** Opens the record that must have this number, seals it again, and demands the same bytes. */
  open(record: Buffer): Inner {
    const nonce = Buffer.from(this.#iv);
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ this.recordSeq, 4);
    const header = record.subarray(0, 5);
    const options = { authTagLength: 16 } as never;
    const decipher = createDecipheriv(this.#suite.cipher as 'aes-128-gcm', this.#key, nonce, options);
    decipher.setAAD(header, { plaintextLength: record.length - 21 });
    decipher.setAuthTag(record.subarray(-16));
    const inner = Buffer.concat([decipher.update(record.subarray(5, -16)), decipher.final()]);

    const cipher = createCipheriv(this.#suite.cipher as 'aes-128-gcm', this.#key, nonce, options);
    cipher.setAAD(header, { plaintextLength: inner.length });
    const again = Buffer.concat([header, cipher.update(inner), cipher.final(), cipher.getAuthTag()]);
    if (!again.equals(record)) throw new Error(`record ${this.recordSeq} is not what node:crypto seals`);
    this.recordSeq += 1n;
    let end = inner.length;
    while (end > 0 && inner[end - 1] === 0) --end;
    if (end !== inner.length) throw new Error('padding, which we never send');
    return { type: inner[end - 1]!, content: inner.subarray(0, end - 1) };
  }
}

/** Whole records, and nothing behind them. */
function splitRecords(bytes: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = 5 + bytes.readUInt16BE(at + 3);
    if (at + length > bytes.length) throw new Error('the stream ends within a record');
    records.push(bytes.subarray(at, at + length));
    at += length;
  }
  return records;
}

const CCS = 20;
const ALERT = 21;
const HANDSHAKE = 22;
const APPLICATION_DATA = 23;
const KEY_UPDATE = 24;

interface Opened {
  /** After the handshake. */
  readonly records: readonly Inner[];
  readonly epochs: number;
  readonly plaintext: Buffer;
}

/** Opens everything that the server sent, following its key updates. */
function openAll(serverBytes: Buffer, secrets: ReadonlyMap<string, Buffer>, suite: Suite): Opened {
  const records = splitRecords(serverBytes);
  const hello = records.shift()!;
  expect(hello[0]).toBe(HANDSHAKE);
  let epoch = new Epoch(suite, secrets.get('SERVER_HANDSHAKE_TRAFFIC_SECRET')!);
  let handshaking = true;
  let epochs = 1;
  const opened: Inner[] = [];
  for (const record of records) {
    if (record[0] === CCS) {
      expect([...record]).toEqual([20, 3, 3, 0, 1, 1]);
      continue;
    }
    // RFC 8446 5.2: the outside of every protected record looks the same, and no record is longer than this.
    expect([record[0], record[1], record[2]]).toEqual([APPLICATION_DATA, 3, 3]);
    expect(record.length).toBeLessThanOrEqual(5 + 16384 + 256);
    const inner = epoch.open(record);
    if (handshaking) {
      expect(inner.type).toBe(HANDSHAKE);
      // A Finished ends what goes under the handshake keys.
      if (endsWithFinished(inner.content, suite)) {
        handshaking = false;
        epoch = new Epoch(suite, secrets.get('SERVER_TRAFFIC_SECRET_0')!);
      }
      continue;
    }
    opened.push(inner);
    if (inner.type === HANDSHAKE && inner.content[0] === KEY_UPDATE) {
      epoch = epoch.next();
      epochs += 1;
    }
  }
  const data = opened.filter(({ type }) => type === APPLICATION_DATA).map(({ content }) => content);
  return { records: opened, epochs, plaintext: Buffer.concat(data) };
}

function endsWithFinished(content: Buffer, suite: Suite): boolean {
  const length = suite.hash === 'sha256' ? 32 : 48;
  const at = content.length - length - 4;
  return at >= 0 && content.readUInt32BE(at) === ((20 << 24) | length);
}

// ── the relay ────────────────────────────────────────────────────────────────────────────────────────

/** A TCP relay to `port` that keeps what the server sent on its one connection. */
async function relay(port: number) {
  const fromServer: Buffer[] = [];
  const fromClient: Buffer[] = [];
  let open = 2;
  const listener = createServer((client) => {
    const upstream = connectTcp({ port, host: '127.0.0.1', noDelay: true });
    client.setNoDelay(true);
    upstream.on('data', (chunk) => fromServer.push(chunk));
    client.on('data', (chunk) => fromClient.push(chunk));
    client.pipe(upstream);
    upstream.pipe(client);
    // A pipe whose other end has gone reads no more, not even the end.
    upstream.on('close', () => client.resume());
    for (const socket of [client, upstream]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        --open;
      });
    }
  });
  await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done));
  return {
    port: (listener.address() as AddressInfo).port,
    fromServer: () => Buffer.concat(fromServer),
    fromClient: () => Buffer.concat(fromClient),
    ended: () => until(() => open === 0, 'the relay to end'),
    close: () => listener.close(),
  };
}

interface Captured {
  readonly server: Buffer;
  readonly client: Buffer;
  readonly plaintext: Buffer;
  readonly secrets: ReadonlyMap<string, Buffer>;
  readonly suite: Suite;
}

/** One connection through a relay: `requests` sent, everything read to the end. */
async function capture(
  port: number,
  credentials: Credentials,
  requests: string,
  suite: string,
): Promise<Captured> {
  const between = await relay(port);
  const secrets = new Map<string, Buffer>();
  const socket = await new Promise<TLSSocket>((done, failed) => {
    const connection = connect(
      {
        port: between.port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: readFileSync(credentials.ca),
        ciphers: suite,
      },
      () => done(connection),
    );
    connection.on('error', failed);
    connection.on('keylog', (line: Buffer) => {
      const [label, , secret] = line.toString('latin1').trim().split(' ');
      secrets.set(label!, Buffer.from(secret!, 'hex'));
    });
  });
  expect(socket.getCipher().name).toBe(suite);
  const wire = new Wire(socket).write(requests);
  const { bytes, error } = await wire.end;
  expect(error).toBe('');
  await between.ended();
  between.close();
  return {
    server: between.fromServer(),
    client: between.fromClient(),
    plaintext: bytes,
    secrets,
    suite: SUITES[suite]!,
  };
}

// ── tests ────────────────────────────────────────────────────────────────────────────────────────────

const BIG = 3_000_001;
const site = new Site();
let credentials: Credentials;
let server: Server;
let big: Buffer;

beforeAll(async () => {
  credentials = issue(site.directory);
  big = site.random('big.bin', BIG);
  site.random('small.txt', 700);
});
afterAll(() => site.remove());

const get = (name: string, more = '') => `GET /${name} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
const last = 'Connection: close\r\n';

describe.each(['software', 'accelerator:thread'])('offload %s', (offload) => {
  beforeAll(async () => {
    server = await start(site, credentials, { workers: 1, offload });
  });
  afterAll(() => server?.close(0));

  describe('what is on the wire', () => {
    // Until the paths are known to the engine, requests wait for the control plane and records end earlier.
    beforeAll(() => exchange(server.address.port, credentials, get('small.txt') + get('big.bin', last)));

    it.each(Object.keys(SUITES))('equals an oracle, record by record: %s', async (suite) => {
      const captured = await capture(
        server.address.port,
        credentials,
        get('small.txt') + get('big.bin') + get('small.txt', last),
        suite,
      );
      const { records, plaintext, epochs } = openAll(captured.server, captured.secrets, captured.suite);
      expect(epochs).toBe(1);
      expect(plaintext.equals(captured.plaintext)).toBe(true);
      expect(plaintext.includes(big)).toBe(true);
      const data = records.filter(({ type }) => type === APPLICATION_DATA);
      const sizes = data.map(({ content }) => content.length);
      // The first 12 KiB in pieces that a client can open after one round trip, then full records.
      expect(sizes.slice(0, 3)).toEqual([4096, 4096, 4096]);
      const full = sizes.slice(3, -1);
      expect(full.length).toBeGreaterThan(100);
      expect(full.every((size) => size === 16384)).toBe(true);
      // close_notify is the last thing said.
      expect(records.at(-1)).toEqual({ type: ALERT, content: Buffer.from([1, 0]) });
      expect(records.filter(({ type }) => type === ALERT)).toHaveLength(1);
    });

    it('and so does what the client sent, which the server opened', async () => {
      const captured = await capture(
        server.address.port,
        credentials,
        get('small.txt', last),
        'TLS_AES_128_GCM_SHA256',
      );
      const client = new Epoch(captured.suite, captured.secrets.get('CLIENT_TRAFFIC_SECRET_0')!);
      const handshake = new Epoch(captured.suite, captured.secrets.get('CLIENT_HANDSHAKE_TRAFFIC_SECRET')!);
      const [hello, ...rest] = splitRecords(captured.client).filter((record) => record[0] !== CCS);
      expect(hello![0]).toBe(HANDSHAKE);
      expect(handshake.open(rest[0]!).type).toBe(HANDSHAKE);
      expect(client.open(rest[1]!).content.toString('latin1')).toBe(get('small.txt', last));
    });
  });

  describe('KeyUpdate', () => {
    // node:tls has no way to ask for one; openssl s_client does it for a line with "K" (and asks for ours) or "k".
    it.skipIf(program('openssl') === null)('from the client in mid-download', async () => {
      const size = 40_000_000;
      const content = Buffer.alloc(size, randomBytes(99_991));
      site.plant('long.bin', content);
      const before = server.stats().counters;
      const child = track(
        spawn(
          'openssl',
          [
            ...['s_client', '-connect', `127.0.0.1:${server.address.port}`, '-servername', 'localhost'],
            ...['-CAfile', credentials.ca, '-verify_return_error', '-brief'],
          ],
          { stdio: ['pipe', 'pipe', 'pipe'] },
        ),
      );
      const chunks: Buffer[] = [];
      let length = 0;
      let said = '';
      let asked = 0;
      child.stderr.on('data', (chunk) => {
        said += chunk;
      });
      child.stdin.write(get('long.bin', last));
      const counters = () => server.stats().counters;
      child.stdout.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        // Every 8 MB: stops reading, so that the transfer stands still, and asks for new keys.
        if (length > (asked + 1) * 8_000_000 && asked < 4) {
          asked += 1;
          child.stdout.pause();
          child.stdin.write(asked % 2 === 1 ? 'K\n' : 'k\n');
          const wanted = before.rekeys_rx! + asked;
          // s_client looks at its standard input again once it can write: let it, a little at a time.
          const pump = setInterval(() => {
            if (counters().rekeys_rx! < wanted && !child.stdout.closed) {
              child.stdout.read(16384); // also a 'data' event
            } else {
              clearInterval(pump);
              child.stdout.resume();
            }
          }, 5);
        }
      });
      await new Promise((done) => child.once('close', done));
      const all = Buffer.concat(chunks);
      expect(said).toContain('KEYUPDATE');
      expect(sha256(all.subarray(all.indexOf('\r\n\r\n') + 4))).toBe(sha256(content));
      expect(counters().rekeys_rx! - before.rekeys_rx!).toBe(4);
      // "K" asks for ours in return: two of the four did.
      expect(counters().rekeys_tx! - before.rekeys_tx!).toBe(2);
    });

    it('of our own, well before a key has sealed its share', async () => {
      const limit = 64;
      const { plane, port, close } = await planeWith(site, handshakesOf(credentials), {
        recordLimit: limit,
        offload,
      });
      try {
        const captured = await capture(port, credentials, get('big.bin', last), 'TLS_AES_128_GCM_SHA256');
        expect(captured.plaintext.includes(big)).toBe(true);
        const { records, plaintext, epochs } = openAll(captured.server, captured.secrets, captured.suite);
        expect(plaintext.equals(captured.plaintext)).toBe(true);
        const updates = records.filter(({ type }) => type === HANDSHAKE);
        // update_not_requested: the client's key is as fresh as it was.
        for (const { content } of updates) expect([...content]).toEqual([KEY_UPDATE, 0, 0, 1, 0]);
        expect(epochs).toBe(updates.length + 1);
        expect(updates.length).toBeGreaterThanOrEqual(Math.floor(records.length / limit));
        let underOneKey = 0;
        for (const { type, content } of records) {
          underOneKey += 1;
          expect(underOneKey).toBeLessThanOrEqual(limit);
          if (type === HANDSHAKE && content[0] === KEY_UPDATE) underOneKey = 0;
        }
        const index = plane.counterNames.indexOf('rekeys_tx');
        expect(plane.counters().reduce((sum, engine) => sum + engine[index]!, 0)).toBe(updates.length);
      } finally {
        await close();
      }
    });
  });
});

/**
 * Failure classes of TLS record layers, at the engine: a client whose every record is its own, over a socket. The same
 * classes at the record layer in TypeScript: test/tls/failure-classes.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Server } from '../../src/index.ts';
import { TestClient12 } from '../support/tls12-client.ts';
import { TestClient } from '../support/tls13-client.ts';
import { type Credentials, issue, Site, start, tcp, until, type Wire } from './support.ts';

const [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA] = [20, 21, 22, 23];
const EMPTY = Buffer.alloc(0);
const GET = Buffer.from('GET /file.txt HTTP/1.1\r\nHost: localhost\r\n\r\n');
const BODY = 'the right bytes\n';
const KEY_UPDATE = Buffer.of(24, 0, 0, 1, 0);

const site = new Site({ 'file.txt': BODY });
let credentials: Credentials;
let server: Server;
beforeAll(async () => {
  credentials = issue(site.directory);
  server = await start(site, credentials, { workers: 1 });
});
afterAll(async () => {
  await server?.close(0);
  site.remove();
});
// Whatever came, nothing of a connection is left.
afterEach(() => until(() => server.stats().connections === 0, 'every connection to end'));

/** A client of one version, up to its Finished, which `finish` makes and does not send. */
abstract class Peer {
  readonly wire: Wire;
  #read = 0;
  protected constructor(wire: Wire) {
    this.wire = wire;
  }
  protected abstract readonly client: TestClient | TestClient12;
  abstract finish(behind?: Uint8Array): Buffer;
  abstract seal(type: number, content: Uint8Array): Buffer;

  /** Takes what has come until `done`, or the end. */
  async listen(done: () => boolean): Promise<void> {
    await until(() => {
      const { bytes } = this.wire;
      this.client.receive(bytes.subarray(this.#read));
      this.#read = bytes.length;
      return done() || this.wire.ended;
    }, 'the server to answer');
  }
  get alerts(): number[] {
    return this.client.alerts;
  }
  get text(): string {
    return Buffer.concat(this.client.applicationData).toString('latin1');
  }
  /** Responses that have come. */
  get answers(): number {
    return this.text.split(BODY).length - 1;
  }

  async alert(): Promise<number | undefined> {
    await this.listen(() => this.alerts.length > 0);
    await this.wire.end;
    return this.alerts[0];
  }
}

class Peer13 extends Peer {
  protected readonly client = new TestClient({ suites: [0x1301], alpn: ['http/1.1'] });
  static async meet(): Promise<Peer13> {
    const peer = new Peer13(await tcp(server.address.port));
    peer.wire.write(peer.client.helloRecord());
    await peer.listen(() => peer.client.messages.some(({ type }) => type === 20));
    return peer;
  }
  finish(behind: Uint8Array = EMPTY): Buffer {
    const sealed = this.client.seal(HANDSHAKE, Buffer.concat([this.client.finished(), behind]));
    this.client.useApplicationKeys();
    if (behind.length === 0) this.client.rx = this.client.keysOf(this.client.serverApplicationSecret);
    return sealed;
  }
  seal(type: number, content: Uint8Array): Buffer {
    return this.client.seal(type, content);
  }
  updateKeys(behind: Uint8Array = EMPTY): Buffer {
    const sealed = this.seal(HANDSHAKE, Buffer.concat([KEY_UPDATE, behind]));
    this.client.updateClientKeys();
    return sealed;
  }
}

class Peer12 extends Peer {
  protected readonly client = new TestClient12({ suites: [0xc02b], serverName: 'localhost' });
  static async meet(): Promise<Peer12> {
    const peer = new Peer12(await tcp(server.address.port));
    peer.wire.write(peer.client.helloRecord());
    await peer.listen(() => peer.client.messages.some(({ type }) => type === 14));
    return peer;
  }
  finish(): Buffer {
    return this.client.secondFlight();
  }
  seal(type: number, content: Uint8Array): Buffer {
    return this.client.seal(type, content);
  }
}

const PEERS = [
  ['TLS 1.3', () => Peer13.meet()],
  ['TLS 1.2', () => Peer12.meet()],
] as const;

/** A connection that has answered once: the engine reads its records. */
async function settled(meet: () => Promise<Peer>): Promise<Peer> {
  const peer = await meet();
  peer.wire.write(Buffer.concat([peer.finish(), peer.seal(DATA, GET)]));
  await peer.listen(() => peer.answers === 1);
  expect(peer.answers).toBe(1);
  return peer;
}

function permutations<T>(list: readonly T[]): T[][] {
  if (list.length === 0) return [[]];
  return list.flatMap((one, index) => permutations(list.toSpliced(index, 1)).map((rest) => [one, ...rest]));
}

describe('Handshake bytes across a key change: through the engine', () => {
  const EXTRAS = [
    ['one byte', Buffer.of(24)],
    ['a whole message', KEY_UPDATE],
    ['a part of one', Buffer.of(20, 0, 0, 32, 1)],
  ] as const;

  test.each(EXTRAS)('%s behind the Finished', async (_name, behind) => {
    const peer = await Peer13.meet();
    peer.wire.write(Buffer.concat([peer.finish(behind), peer.seal(DATA, GET)]));
    expect(await peer.alert()).toBe(10);
    expect(peer.text).toBe('');
  });

  test.each(EXTRAS)('%s behind a KeyUpdate, before the hand-over and after it', async (_name, behind) => {
    for (const isSettled of [false, true]) {
      const peer = (await (isSettled ? settled(Peer13.meet) : Peer13.meet())) as Peer13;
      const before = isSettled ? EMPTY : peer.finish();
      peer.wire.write(Buffer.concat([before, peer.updateKeys(behind), peer.seal(DATA, GET)]));
      expect(await peer.alert()).toBe(10);
      expect(peer.answers).toBe(isSettled ? 1 : 0);
    }
  });

  test.each(EXTRAS.slice(1))('a KeyUpdate in two records, and %s behind it', async (_name, behind) => {
    const peer = (await settled(Peer13.meet)) as Peer13;
    const parts = [KEY_UPDATE.subarray(0, 2), Buffer.concat([KEY_UPDATE.subarray(2), behind])];
    peer.wire.write(Buffer.concat(parts.map((part) => peer.seal(HANDSHAKE, part))));
    expect(await peer.alert()).toBe(10);
  });
});

describe.each(PEERS)('Zero-length records (CVE-2025-39682): through the engine, %s', (_version, meet) => {
  test.each(permutations([CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA]))(
    '%i, %i, %i, %i',
    async (...order) => {
      const peer = await settled(meet);
      const empty = order.map((type) => peer.seal(type, EMPTY));
      peer.wire.write(Buffer.concat([...empty, peer.seal(DATA, GET)]));
      expect([10, 50, 100]).toContain(await peer.alert());
      expect(peer.answers).toBe(1);
    },
  );

  test('data may be empty', async () => {
    const peer = await settled(meet);
    const [head, tail] = [GET.subarray(0, 9), GET.subarray(9)];
    const parts = [EMPTY, head, EMPTY, EMPTY, tail, EMPTY];
    peer.wire.write(Buffer.concat(parts.map((part) => peer.seal(DATA, part))));
    await peer.listen(() => peer.answers === 2);
    expect(peer.answers).toBe(2);
    peer.wire.socket.destroy();
  });
});

describe.each(PEERS)('Bogus header (CVE-2025-39946): through the engine, %s', (_version, meet) => {
  test.each([
    ['an unknown type', [24, 3, 3, 0, 40], 10],
    ['a length beyond all limits', [DATA, 3, 3, 0xff, 0xff], 22],
  ] as const)('%s, wherever it is cut: what follows is not read', async (_name, header, alert) => {
    for (let cut = 0; cut <= header.length; cut++) {
      const peer = await settled(meet);
      const bytes = Buffer.concat([Buffer.from(header), peer.seal(DATA, GET)]);
      peer.wire.write(bytes.subarray(0, cut));
      await new Promise((done) => setImmediate(done));
      peer.wire.write(bytes.subarray(cut));
      expect(await peer.alert()).toBe(alert);
      expect(peer.answers).toBe(1);
    }
  });
});

describe.each(PEERS)('Length arithmetic: through the engine, %s', (version, meet) => {
  const overhead = version === 'TLS 1.3' ? 256 : 2048;
  const LENGTHS: readonly (readonly [number, number])[] = [
    ...Array.from({ length: 25 }, (_, length) => [length, 20] as const),
    [16_383, 20],
    [16_385, 20],
    [16_384 + overhead, 20],
    [16_384 + overhead + 1, 22],
  ];
  test.each(LENGTHS)('%i bytes that do not verify get alert %i', async (length, alert) => {
    const peer = await settled(meet);
    const bytes = Buffer.concat([
      Buffer.of(DATA, 3, 3, length >> 8, length & 0xff),
      Buffer.alloc(length, 0x5a),
    ]);
    // The short ones in single segments.
    const portion = length < 30 ? 1 : 4096;
    for (let at = 0; at < bytes.length; at += portion) {
      peer.wire.write(bytes.subarray(at, at + portion));
      await new Promise((done) => setImmediate(done));
    }
    expect(await peer.alert()).toBe(alert);
  });
});

describe.each(PEERS)('Switch-over races (OpenSSL issues 8896, 12082): %s', (_version, meet) => {
  test('requests in one burst with the Finished', async () => {
    const peer = await meet();
    const requests = Array.from({ length: 100 }, () => GET);
    const burst = [peer.finish(), ...requests.map((request) => peer.seal(DATA, request))];
    peer.wire.write(Buffer.concat(burst));
    await peer.listen(() => peer.answers === 100);
    expect(peer.answers).toBe(100);
    peer.wire.socket.destroy();
  });

  test('every cut between the Finished and a request', async () => {
    const length = await meet().then((peer) => {
      peer.wire.socket.destroy();
      return peer.finish().length + peer.seal(DATA, GET).length;
    });
    for (let cut = 1; cut < length; cut += 7) {
      const peer = await meet();
      const bytes = Buffer.concat([peer.finish(), peer.seal(DATA, GET)]);
      peer.wire.write(bytes.subarray(0, cut));
      await new Promise((done) => setImmediate(done));
      peer.wire.write(bytes.subarray(cut));
      await peer.listen(() => peer.answers === 1);
      expect(peer.answers).toBe(1);
      peer.wire.socket.destroy();
    }
  });

  test('single bytes', async () => {
    const peer = await meet();
    for (const byte of Buffer.concat([peer.finish(), peer.seal(DATA, GET)])) {
      peer.wire.write(Buffer.of(byte));
      await new Promise((done) => setImmediate(done));
    }
    await peer.listen(() => peer.answers === 1);
    expect(peer.answers).toBe(1);
    peer.wire.socket.destroy();
  });
});

test('Switch-over races (OpenSSL issue 16307): KeyUpdates among requests, in one burst', async () => {
  const peer = (await settled(Peer13.meet)) as Peer13;
  const burst: Buffer[] = [];
  for (let i = 0; i < 10; i++) burst.push(peer.updateKeys(), peer.seal(DATA, GET));
  peer.wire.write(Buffer.concat(burst));
  await peer.listen(() => peer.answers === 11);
  expect(peer.answers).toBe(11);
  peer.wire.socket.destroy();
});

describe.each(PEERS)('Truncation: through the engine, %s', (_version, meet) => {
  test('half a request and the end, without close_notify, is answered with nothing', async () => {
    const peer = await settled(meet);
    const bytes = peer.seal(DATA, GET);
    peer.wire.write(bytes.subarray(0, bytes.length - 1));
    peer.wire.socket.end();
    await peer.wire.end;
    await peer.listen(() => true);
    expect(peer.answers).toBe(1);
  });

  test('a request after close_notify is not read', async () => {
    const peer = await settled(meet);
    peer.wire.write(Buffer.concat([peer.seal(ALERT, Buffer.of(1, 0)), peer.seal(DATA, GET)]));
    await peer.wire.end;
    await peer.listen(() => true);
    expect(peer.answers).toBe(1);
  });
});

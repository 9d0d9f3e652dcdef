/** The join of handshake and data plane: what goes down, what stays, what is wiped. */
import { describe, expect, test } from 'vitest';
import {
  Credential,
  CredentialStore,
  type KeyImporter,
  loadCredential,
  type Signer,
} from '../../src/control/credentials.ts';
import { makeDevelopmentCertificate } from '../../src/control/development-certificate.ts';
import { HandshakeControl, type HandshakeControlOptions } from '../../src/control/handshake-control.ts';
import { nativeCryptoProvider } from '../../src/control/native-crypto-provider.ts';
import { native } from '../../src/native.ts';
import type { CryptSockets } from '../../src/plane/engine-link.ts';
import type { TrafficKeys } from '../../src/plane/messages.ts';
import { sessionOptions } from '../support/session-tickets.ts';
import { TestClient } from '../support/tls13-client.ts';

interface Said {
  readonly what: string;
  readonly bytes?: Buffer;
  readonly keys?: TrafficKeys[];
  /** The objects themselves, to see them wiped, and copies of what was in them. */
  readonly given?: Uint8Array[];
  readonly copies?: Buffer[];
  readonly asked?: boolean;
  readonly alert?: number;
}

/** An engine that writes down what it is told. */
class Engine implements CryptSockets {
  readonly said: Said[] = [];
  #keys(what: string, keys: TrafficKeys[], update: Uint8Array, more: Partial<Said> = {}): void {
    const given = [...keys.flatMap(({ key, iv }) => [key, iv]), update];
    this.said.push({ what, keys, given, copies: given.map((secret) => Buffer.from(secret)), ...more });
  }
  send(_: number, bytes: Uint8Array): void {
    this.said.push({ what: 'send', bytes: Buffer.from(bytes) });
  }
  more(): void {
    this.said.push({ what: 'more' });
  }
  establish(
    _: number,
    first: Uint8Array,
    tx: TrafficKeys,
    rx: TrafficKeys,
    update: Uint8Array,
    leftover: Uint8Array,
  ): void {
    this.#keys('establish', [tx, rx], update, { bytes: Buffer.concat([first, leftover]) });
  }
  fail(_: number, alert: Uint8Array): void {
    this.said.push({ what: 'fail', bytes: Buffer.from(alert) });
  }
  receiveKeys(_: number, keys: TrafficKeys, update: Uint8Array): void {
    this.#keys('receiveKeys', [keys], update);
  }
  updateTransmit(
    _: number,
    asked: boolean,
    message: Uint8Array,
    keys: TrafficKeys,
    update: Uint8Array,
  ): void {
    this.#keys('updateTransmit', [keys], update, { asked, bytes: Buffer.from(message) });
  }
  postMore(): void {
    this.said.push({ what: 'postMore' });
  }
  postFail(_: number, alert: number): void {
    this.said.push({ what: 'postFail', alert });
  }
  sendHandshake(_: number, content: Uint8Array): void {
    this.said.push({ what: 'sendHandshake', bytes: Buffer.from(content) });
  }
  take(): Said[] {
    return this.said.splice(0);
  }
}

const store = (crypto: KeyImporter = native.crypto) =>
  new CredentialStore([loadCredential(makeDevelopmentCertificate('localhost', new Date()), { crypto })]);
const control = (credentials = store(), more: Partial<HandshakeControlOptions> = {}) =>
  new HandshakeControl(credentials, nativeCryptoProvider(native.crypto), {
    suites: [0x1301],
    groups: [0x001d],
    alpn: [],
    maxHandshakeBytes: 65_536,
    handshakeTimeoutMs: 10_000,
    sessions: sessionOptions(),
    clientAuthentication: null,
    ...more,
  });

function establish(handshakes: HandshakeControl, engine: Engine): Said {
  const client = new TestClient({ suites: [0x1301] });
  handshakes.data(engine, 1, client.helloRecord());
  const [flight] = engine.take();
  client.receive(flight!.bytes!);
  handshakes.data(engine, 1, Buffer.concat([client.seal(22, client.finished()), Buffer.from('later')]));
  const [established, ...more] = engine.take();
  expect(more).toEqual([]);
  expect(established!.what).toBe('establish');
  return established!;
}

test('keys go down once, are wiped here, and nothing of the connection stays', () => {
  const handshakes = control();
  const established = establish(handshakes, new Engine());
  expect(established.bytes!.toString()).toBe('later');
  for (const copy of established.copies!) expect(copy.every((byte) => byte === 0)).toBe(false);
  for (const secret of established.given!) expect(secret.every((byte) => byte === 0)).toBe(true);
  expect(handshakes.counters()).toMatchObject({ full: 1, pending: 0 });
});

test('a KeyUpdate that asks for one: both answers carry the same state, in order', () => {
  const handshakes = control();
  const engine = new Engine();
  const blob = establish(handshakes, engine).copies!.at(-1)!;
  handshakes.postHandshake(engine, 1, blob, Buffer.from('1800000101', 'hex'));
  const [receive, transmit, ...rest] = engine.take();
  expect(rest).toEqual([]);
  expect([receive!.what, transmit!.what, transmit!.asked]).toEqual(['receiveKeys', 'updateTransmit', false]);
  expect(transmit!.bytes!.toString('hex')).toBe('1800000100');
  expect(receive!.keys![0]!.epoch).toBe(transmit!.keys![0]!.epoch);
  expect(receive!.copies!.at(-1)).toEqual(transmit!.copies!.at(-1));
  for (const said of [receive!, transmit!])
    for (const secret of said.given!) expect(secret.every((byte) => byte === 0)).toBe(true);
});

test('epochs follow each other, and no key comes twice', () => {
  const handshakes = control();
  const engine = new Engine();
  let blob = establish(handshakes, engine).copies!.at(-1)!;
  const keys = new Set<string>();
  for (let turn = 1; turn <= 5; turn++) {
    handshakes.rekeyDue(engine, 1, blob);
    const [said] = engine.take();
    expect([said!.asked, said!.keys![0]!.epoch]).toEqual([true, turn]);
    keys.add(said!.copies![0]!.toString('hex'));
    blob = said!.copies!.at(-1)!;
  }
  expect(keys.size).toBe(5);
});

test('other messages after the handshake are refused', () => {
  const handshakes = control();
  const engine = new Engine();
  const blob = establish(handshakes, engine).copies!.at(-1)!;
  handshakes.postHandshake(engine, 1, blob, Buffer.from('0100000100', 'hex'));
  expect(engine.take()).toEqual([{ what: 'postFail', alert: 10 }]);
  expect([...handshakes.counters().failedAfter.values()]).toEqual([1]);
  expect(handshakes.counters().failed.size).toBe(0);
});

test('User callback throws: a key that cannot sign any more fails its handshake with internal_error, and no other', () => {
  let broken = false;
  const handshakes = control(
    store({
      importPrivateKey: (pkcs8) => {
        const key = native.crypto.importPrivateKey(pkcs8);
        return {
          ...key,
          type: key.type,
          curve: key.curve,
          bits: key.bits,
          publicKey: () => key.publicKey(),
          handle: () => key.handle(),
          sign: (scheme: number, data: Uint8Array) => key.sign(scheme, data),
          signAsync(scheme: number, data: Uint8Array) {
            if (broken) throw new Error('the token was pulled');
            return key.signAsync(scheme, data);
          },
        };
      },
    }),
  );
  const engine = new Engine();
  broken = true;
  handshakes.data(engine, 7, new TestClient({ suites: [0x1301] }).helloRecord());
  expect(engine.take().map(({ what }) => what)).toEqual(['fail']);
  expect(handshakes.counters()).toMatchObject({ full: 0, pending: 0 });
  broken = false;
  establish(handshakes, engine);
});

/** A control plane whose key signs as a test wants. */
function controlWith(sign: (scheme: number, data: Uint8Array) => unknown) {
  const real = store().credentials[0]!;
  const parts = { ...real, chain: real.chain, key: { type: 'rsa', bits: 2048 } as const };
  const signer = { sign: () => new Uint8Array(), signAsync: sign as Required<Signer>['signAsync'] };
  const handshakes = control(new CredentialStore([new Credential(parts, signer)]));
  const engine = new Engine();
  handshakes.data(engine, 1, new TestClient({ suites: [0x1301], schemes: [0x0804] }).helloRecord());
  return { handshakes, engine };
}
const turn = () => new Promise((done) => setImmediate(done));

describe('Async lifetime: a signature that is made elsewhere', () => {
  test('holds back the answer until it is there, and nothing else', async () => {
    let sign: (signature: Uint8Array) => void = () => {};
    const { handshakes, engine } = controlWith(() => new Promise((done) => (sign = done)));
    await turn();
    expect(engine.take()).toEqual([]);
    handshakes.data(engine, 2, new TestClient({ suites: [0x1301], schemes: [0x0403] }).helloRecord());
    expect(engine.take().map(({ what }) => what)).toEqual(['fail']);
    expect(handshakes.counters().pending).toBe(1);
    sign(new Uint8Array(256));
    await turn();
    expect(engine.take().map(({ what }) => what)).toEqual(['send']);
  });

  test.each([
    ['throws', () => raise()],
    ['rejects', () => Promise.reject(new Error('the token was pulled'))],
    ['rejects late', () => turn().then(raise)],
    ['gives something else', () => Promise.resolve('signed, yours truly')],
  ])('and %s ends its handshake with one internal_error', async (_, sign) => {
    const { handshakes, engine } = controlWith(sign);
    await turn();
    await turn();
    const [failed, ...more] = engine.take();
    expect(more).toEqual([]);
    expect(failed!.what).toBe('fail');
    expect(failed!.bytes!.subarray(-2)).toEqual(Buffer.of(2, 80));
    expect(handshakes.counters()).toMatchObject({ full: 0, pending: 0 });
    expect([...handshakes.counters().failed]).toEqual([['internal_error', 1]]);
  });

  test('and never comes is forgotten with its connection; and one that comes too late does nothing', async () => {
    let sign: (signature: Uint8Array) => void = () => {};
    const { handshakes, engine } = controlWith(() => new Promise((done) => (sign = done)));
    handshakes.closed(engine, 1);
    expect(handshakes.counters().pending).toBe(0);
    sign(new Uint8Array(256));
    await turn();
    expect(engine.take()).toEqual([]);
  });

  test('is not waited for while more comes than a client may send', () => {
    const { handshakes, engine } = controlWith(() => new Promise(() => {}));
    const flood = Buffer.concat([Buffer.of(22, 3, 3, 0x40, 0), Buffer.alloc(0x4000)]);
    for (let i = 0; i < 8; ++i) handshakes.data(engine, 1, flood, false);
    expect(engine.take().map(({ what }) => what)).toEqual(['fail']);
    expect(handshakes.counters().pending).toBe(0);
  });
});

function raise(): never {
  throw new Error('the token was pulled');
}

test('the rest of a handshake that another thread began is left alone', () => {
  const handshakes = control();
  const engine = new Engine();
  handshakes.data(engine, 5, Buffer.of(22, 3, 3, 0, 1, 20), false);
  expect(engine.take()).toEqual([]);
  expect(handshakes.counters()).toMatchObject({ pending: 0, failed: new Map() });
});

test('state that no handshake left behind ends its connection and nothing else', () => {
  const handshakes = control();
  const engine = new Engine();
  handshakes.postHandshake(engine, 1, Buffer.from('nonsense'), Buffer.from('1800000101', 'hex'));
  handshakes.rekeyDue(engine, 2, Buffer.from('nonsense'));
  expect(engine.take()).toEqual([
    { what: 'postFail', alert: 80 },
    { what: 'postFail', alert: 80 },
  ]);
});

test('a handshake whose connection went is forgotten', () => {
  const handshakes = control();
  const engine = new Engine();
  handshakes.data(engine, 9, new TestClient({ suites: [0x1301] }).helloRecord());
  expect(handshakes.counters().pending).toBe(1);
  handshakes.closed(engine, 9);
  expect(handshakes.counters().pending).toBe(0);
});

/** Tickets that become sessions, and sessions that are offered, against the scripted server. */
import { describe, expect, test } from 'vitest';
import {
  type ClientConfig,
  type ConnectionEvent,
  PostHandshake,
  type PostHandshakeEvent,
  type Reason,
  TlsConnection,
} from '../../../src/tls/index.ts';
import { decodeClientSession } from '../../../src/tls/session/client-session.ts';
import { type ClientAnswers, ClientDriver, clientConfig } from '../../support/client-driver.ts';
import { nodeCryptoProvider, P256, X25519 } from '../../support/node-crypto-provider.ts';
import { Random, testSeed } from '../../support/random.ts';
import { type Extension, message, record, u16, vector8, vector16 } from '../../support/tls13-client.ts';
import { type ServerHelloOptions, TestServer } from '../../support/tls13-server.ts';

const provider = nodeCryptoProvider();
const NONCE = Buffer.from('nonce');
const TICKET = Buffer.from('a ticket of the server');
const LIFETIME = 7200;
const AGE_ADD = 0xfedcba98;
const RECEIVED = 1_700_000_000_000;
const now = () => RECEIVED;

function newSessionTicket(
  changes: { lifetime?: number; nonce?: Uint8Array; ticket?: Uint8Array; extensions?: Uint8Array } = {},
): Buffer {
  const numbers = Buffer.alloc(8);
  numbers.writeUInt32BE(changes.lifetime ?? LIFETIME);
  numbers.writeUInt32BE(AGE_ADD, 4);
  const parts = [numbers, vector8(changes.nonce ?? NONCE), vector16(changes.ticket ?? TICKET)];
  return message(4, Buffer.concat([...parts, changes.extensions ?? u16(0)]));
}

interface Established {
  readonly client: ClientDriver;
  readonly server: TestServer;
}

function established(config: Partial<ClientConfig> = {}, suite = 0x1301): Established {
  const client = new ClientDriver({ now, ...config });
  const server = new TestServer();
  server.receive(client.start());
  const hello = record(22, server.serverHello({ suite }));
  server.receive(client.feed(Buffer.concat([hello, server.flight()])));
  expect(server.clientFinished).toBe(true);
  return { client, server };
}

const sessionsIn = (events: readonly PostHandshakeEvent[]) =>
  events.flatMap((event) => (event.type === 'ticket' ? [event.session] : []));

interface Kept {
  readonly session: Uint8Array;
  readonly psk: Uint8Array;
}

function sessionOf(suite = 0x1301, config: Partial<ClientConfig> = {}): Kept {
  const { client, server } = established(config, suite);
  const post = PostHandshake.open(client.established!.update, provider, now);
  const [session] = sessionsIn(post.receive(newSessionTicket()));
  return { session: session!, psk: server.pskOf(NONCE) };
}

/** The client has said hello, with the session to resume. */
function offering(kept: Kept, config: Partial<ClientConfig> = {}, answers: ClientAnswers = {}): Established {
  const client = new ClientDriver({ session: kept.session, now: () => RECEIVED + 1000, ...config }, answers);
  const server = new TestServer();
  server.receive(client.start());
  return { client, server };
}

const select =
  (identity: number) =>
  (list: Extension[]): Extension[] => [...list, [41, u16(identity)]];

/** EncryptedExtensions and Finished: all there is of a resumed handshake. */
function finishResumed({ client, server }: Established): void {
  server.receive(
    client.feed(server.seal(22, Buffer.concat([server.encryptedExtensions(), server.finished()]))),
  );
  server.useApplicationKeys();
}

describe.each([0x1301, 0x1302, 0x1303])('suite %i', (suite) => {
  test('a session is resumed', () => {
    const kept = sessionOf(suite);
    const stage = offering(kept);
    const { client, server } = stage;
    const { identity, obfuscatedAge } = server.takePsk(kept.psk, suite);
    expect(identity).toEqual(TICKET);
    expect(obfuscatedAge).toBe((AGE_ADD + 1000) % 2 ** 32);
    expect(server.offered(45)).toEqual(Buffer.of(1, 1));
    expect(server.hello.extensions.at(-1)?.[0]).toBe(41);
    server.receive(client.feed(record(22, server.serverHello({ suite, edit: select(0) }))));
    finishResumed(stage);
    expect(client.failed).toBeUndefined();
    expect(client.established?.info).toMatchObject({ suite, scheme: 0x0403 });
    // What the server has shown before is looked at again.
    expect(client.verified?.chain.map((der) => Buffer.from(der))).toEqual(server.credential.chain);
    expect(server.messages.map(({ type }) => type)).toEqual([20]);
  });

  test('after a HelloRetryRequest, with a binder of its own', () => {
    const kept = sessionOf(suite);
    const stage = offering(kept);
    const { client, server } = stage;
    server.takePsk(kept.psk, suite);
    server.receive(
      client.feed(record(22, server.retry({ suite, group: P256, cookie: Buffer.from('cookie') }))),
    );
    server.takePsk(kept.psk, suite);
    server.receive(client.feed(record(22, server.serverHello({ suite, edit: select(0) }))));
    finishResumed(stage);
    expect(client.established?.info).toMatchObject({ helloRetry: true, group: P256 });
  });
});

test('a server that does not know the ticket goes on in full', () => {
  const { client, server } = offering(sessionOf());
  const hello = record(22, server.serverHello());
  server.receive(client.feed(Buffer.concat([hello, server.flight()])));
  expect(client.established).toBeDefined();
  expect(server.clientFinished).toBe(true);
});

test('a HelloRetryRequest with a suite of another hash ends the offer', () => {
  const { client, server } = offering(sessionOf(0x1301));
  expect(server.offered(41)).toBeDefined();
  server.receive(client.feed(record(22, server.retry({ suite: 0x1302, group: P256 }))));
  expect(server.offered(41)).toBeUndefined();
  const hello = record(22, server.serverHello({ suite: 0x1302, group: P256 }));
  server.receive(client.feed(Buffer.concat([hello, server.flight()])));
  expect(client.established).toBeDefined();
});

test('a suite of the same hash may be another than that of the session', () => {
  const kept = sessionOf(0x1301);
  const stage = offering(kept);
  const { client, server } = stage;
  server.takePsk(kept.psk, 0x1303);
  server.receive(client.feed(record(22, server.serverHello({ suite: 0x1303, edit: select(0) }))));
  finishResumed(stage);
  expect(client.established?.info.suite).toBe(0x1303);
});

// RFC 8446 4.2.11: "Clients MUST verify that the server's selected_identity is within the range supplied by the
// client".
describe('what the server may not answer', () => {
  test.each<[string, ServerHelloOptions, Reason, number]>([
    ['another identity', { edit: select(1) }, 'psk_not_offered', 47],
    ['a suite of another hash', { suite: 0x1302, edit: select(0) }, 'psk_of_another_hash', 47],
    [
      'no key_share',
      {
        edit: () => [
          [43, u16(0x0304)],
          [41, u16(0)],
        ],
      },
      'psk_without_key_share',
      47,
    ],
    [
      'an identity that is too long',
      { edit: (list) => [...list, [41, Buffer.alloc(3)]] },
      'trailing_data',
      50,
    ],
    ['an identity twice', { edit: (list) => select(0)(select(0)(list)) }, 'duplicate_extension', 50],
  ])('%s', (_name, options, reason, alert) => {
    const { client, server } = offering(sessionOf());
    client.feed(record(22, server.serverHello(options)));
    expect(client.failed).toMatchObject({ reason, alert });
  });

  const refused = (say: (server: TestServer) => Buffer, answers: ClientAnswers = {}) => {
    const kept = sessionOf();
    const { client, server } = offering(kept, {}, answers);
    server.takePsk(kept.psk, 0x1301);
    server.receive(client.feed(record(22, server.serverHello({ edit: select(0) }))));
    server.receive(client.feed(server.seal(22, say(server))));
    return client.failed;
  };
  test.each([
    [
      'a certificate',
      (server: TestServer) => Buffer.concat([server.encryptedExtensions(), server.certificate()]),
    ],
    [
      'a request for ours',
      (server: TestServer) => Buffer.concat([server.encryptedExtensions(), server.certificateRequest()]),
    ],
  ])('%s', (_name, say) => {
    expect(refused(say)).toMatchObject({ reason: 'unexpected_handshake_message', alert: 10 });
  });
  test('a certificate of then that the caller refuses now', () => {
    const answers = { refusal: 'certificate_expired' } as const;
    const failed = refused((server) => server.encryptedExtensions(), answers);
    expect(failed).toMatchObject({ reason: 'certificate_expired', alert: 45 });
  });
});

describe('a session is not offered', () => {
  const offers = (kept: Kept, config: Partial<ClientConfig> = {}) =>
    offering(kept, config).server.offered(41) !== undefined;
  test('but where it belongs', () => {
    expect(offers(sessionOf())).toBe(true);
  });
  test.each<[string, Partial<ClientConfig>]>([
    ['to another name', { serverName: 'other.example' }],
    ['without the name', { serverName: undefined }],
    ['after its lifetime', { now: () => RECEIVED + 1000 * LIFETIME }],
    ['before it was received', { now: () => RECEIVED - 1 }],
    ['without a clock', { now: undefined }],
    ['without a suite of its hash', { suites: [0x1302] }],
    ['in TLS 1.2', { versions: [0x0303] }],
    ['when it is empty', { session: new Uint8Array(0) }],
    ['when it is something else', { session: Buffer.alloc(200, 1) }],
  ])('%s', (_name, config) => {
    expect(offers(sessionOf(), config)).toBe(false);
  });
  test('when it is cut off, or longer', () => {
    const { session, psk } = sessionOf();
    for (let length = 0; length < session.length; length += 7) {
      expect(offers({ session: session.subarray(0, length), psk })).toBe(false);
    }
    expect(offers({ session: Buffer.concat([session, Buffer.alloc(1)]), psk })).toBe(false);
  });
  test('when it is damaged, it never ends a handshake before the server has answered', () => {
    const seed = testSeed();
    const random = new Random(seed);
    const { session, psk } = sessionOf();
    for (let i = 0; i < 200; i++) {
      const damaged = Uint8Array.from(session);
      damaged[random.below(damaged.length)]! ^= 1 + random.below(255);
      const { client } = offering({ session: damaged, psk });
      expect(client.failed, `seed ${seed}, round ${i}`).toBeUndefined();
    }
  });
});

// RFC 8446 4.6.1: "Clients MUST NOT cache tickets for longer than 7 days".
test('a session holds what it is bound to, and at most seven days', () => {
  const { client } = established({ alpn: [], serverName: 'interop.example' });
  const post = PostHandshake.open(client.established!.update, provider, now);
  const [session] = sessionsIn(post.receive(newSessionTicket({ lifetime: 0xffffffff })));
  expect(decodeClientSession(session!)).toMatchObject({
    version: 0x0304,
    suite: 0x1301,
    scheme: 0x0403,
    serverName: 'interop.example',
    alpn: undefined,
    lifetime: 604_800,
    ageAdd: AGE_ADD,
    receivedAt: RECEIVED,
  });
});

describe('tickets after the handshake', () => {
  const open = (clock: (() => number) | undefined = now) =>
    PostHandshake.open(established().client.established!.update, provider, clock);
  const KEY_UPDATE = Buffer.from('1800000100', 'hex');

  test('several in one record, and a KeyUpdate behind them', () => {
    const events = open().receive(Buffer.concat([newSessionTicket(), newSessionTicket(), KEY_UPDATE]));
    expect(events.map(({ type }) => type)).toEqual(['ticket', 'ticket', 'rxKeys']);
  });
  test('a KeyUpdate is the last of its record', () => {
    const [event] = open().receive(Buffer.concat([KEY_UPDATE, newSessionTicket()]));
    expect(event).toMatchObject({ type: 'fail', reason: 'handshake_bytes_before_key_change' });
  });
  test('in fragments of one byte, the blob in between, then a KeyUpdate', () => {
    let blob = established().client.established!.update;
    const events: PostHandshakeEvent[] = [];
    for (const byte of Buffer.concat([newSessionTicket(), KEY_UPDATE])) {
      const post = PostHandshake.open(blob, provider, now);
      events.push(...post.receive(Buffer.of(byte)));
      blob = post.blob();
      post.wipe();
    }
    expect(events.map(({ type }) => type)).toEqual(['ticket', 'rxKeys']);
    expect(decodeClientSession(sessionsIn(events)[0]!)?.ticket).toEqual(Uint8Array.from(TICKET));
  });
  test.each([
    ['taken', now],
    ['dropped', undefined],
  ])('a row of them without data has an end, however it is cut, when they are %s', (_name, clock) => {
    const connection = TlsConnection.client({ ...clientConfig, now: clock }, provider);
    const server = new TestServer();
    const events: ConnectionEvent[] = [];
    const take = (more: readonly ConnectionEvent[]): void => {
      for (const event of more) {
        events.push(event);
        if (event.type === 'send') server.receive(event.bytes);
        if (event.type === 'verify') take(connection.provideVerification(undefined));
      }
    };
    take(connection.start());
    take(connection.receive(record(22, server.serverHello())));
    take(connection.receive(server.flight()));
    for (let i = 0; i < 32; i++) {
      for (const byte of newSessionTicket()) take(connection.receive(server.seal(22, Buffer.of(byte))));
    }
    expect(events.filter(({ type }) => type === 'ticket')).toHaveLength(clock === undefined ? 0 : 32);
    expect(events.at(-1)?.type).not.toBe('fail');
    take(connection.receive(server.seal(22, newSessionTicket())));
    expect(events.at(-1)).toMatchObject({ type: 'fail', reason: 'no_progress' });
  });
  test('are still good after a KeyUpdate', () => {
    const { client, server } = established();
    const post = PostHandshake.open(client.established!.update, provider, now);
    post.receive(KEY_UPDATE);
    const [session] = sessionsIn(post.receive(newSessionTicket()));
    expect(Buffer.from(decodeClientSession(session!)!.secret)).toEqual(Buffer.from(server.pskOf(NONCE)));
  });
  test.each([
    ['with a lifetime of zero', newSessionTicket({ lifetime: 0 })],
    ['that a caller without a clock gets', newSessionTicket()],
  ])('%s are dropped', (name, bytes) => {
    const post = PostHandshake.open(
      established().client.established!.update,
      provider,
      name.includes('clock') ? undefined : now,
    );
    expect(post.receive(bytes)).toEqual([]);
  });
  test('more than 32 are dropped', () => {
    const post = open();
    let sessions = 0;
    for (let i = 0; i < 40; i++) sessions += post.receive(newSessionTicket()).length;
    expect(sessions).toBe(32);
  });
  test('an unknown extension is ignored, early_data is read', () => {
    const extensions = vector16(u16(0x1234), vector16(Buffer.alloc(3)), u16(42), vector16(Buffer.alloc(4)));
    expect(open().receive(newSessionTicket({ extensions }))).toHaveLength(1);
  });
  test.each<[string, Buffer, Reason, number]>([
    ['without a ticket', newSessionTicket({ ticket: Buffer.alloc(0) }), 'bad_list_length', 50],
    [
      'that is too long',
      newSessionTicket({ ticket: Buffer.alloc(16_384) }),
      'handshake_message_too_long',
      50,
    ],
    ['that ends too early', message(4, Buffer.alloc(9)), 'truncated_message', 50],
    [
      'with more behind it',
      message(4, Buffer.concat([newSessionTicket().subarray(4), Buffer.alloc(1)])),
      'trailing_data',
      50,
    ],
    [
      'with early_data of three bytes',
      newSessionTicket({ extensions: vector16(u16(42), vector16(Buffer.alloc(3))) }),
      'truncated_message',
      50,
    ],
    [
      'with an extension twice',
      newSessionTicket({ extensions: vector16(u16(9), u16(0), u16(9), u16(0)) }),
      'duplicate_extension_in_ticket',
      47,
    ],
    ['in place of which comes a ClientHello', Buffer.of(1), 'unexpected_handshake_message', 10],
    ['in place of which comes a HelloRequest', Buffer.of(0), 'unexpected_handshake_message', 10],
    ['in place of which comes a CertificateRequest', Buffer.of(13), 'unexpected_handshake_message', 10],
  ])('one %s is refused', (_name, bytes, reason, alert) => {
    expect(open().receive(bytes)).toEqual([{ type: 'fail', reason, alert }]);
  });
  test('a blob that is damaged is the fault of the caller', () => {
    const { update } = established().client.established!;
    for (const length of [1, 2, 40, 120, update.length - 1]) {
      expect(() => PostHandshake.open(update.subarray(0, length), provider)).toThrow(
        expect.objectContaining({ code: 'ERR_SOCRYPT_TLS_UPDATE_SECRETS' }),
      );
    }
  });
});

test('a server with more certificates than are kept is not resumed with', () => {
  const client = new ClientDriver({ now });
  const server = new TestServer();
  server.receive(client.start());
  const hello = record(22, server.serverHello({ group: X25519 }));
  const chain = [...server.credential.chain, Buffer.alloc(25_000), Buffer.alloc(25_000)];
  const flight = [
    server.seal(22, server.encryptedExtensions()),
    ...[...splitRecords(server.certificate({ chain }))].map((part) => server.seal(22, part)),
    server.seal(22, Buffer.concat([server.certificateVerify(), server.finished()])),
  ];
  server.useApplicationKeys();
  server.receive(client.feed(Buffer.concat([hello, ...flight])));
  const post = PostHandshake.open(client.established!.update, provider, now);
  expect(post.receive(newSessionTicket())).toEqual([]);
});

function* splitRecords(whole: Buffer): Generator<Buffer> {
  for (let at = 0; at < whole.length; at += 16_384) yield whole.subarray(at, at + 16_384);
}

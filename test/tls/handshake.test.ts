/** Whole handshakes against a client made of node:crypto, and what the hand-over holds. */
import { describe, expect, test } from 'vitest';
import { type HandshakeEvent, ServerHandshake, wipe } from '../../src/tls/index.ts';
import { config, credential, Driver, publicKey } from '../support/handshake-driver.ts';
import { nodeCryptoProvider, P256, X25519 } from '../support/node-crypto-provider.ts';
import {
  type Extension,
  type HelloOptions,
  record,
  TestClient,
  u16,
  vector8,
  vector16,
} from '../support/tls13-client.ts';

function complete(options: HelloOptions = {}, changes: Partial<typeof config> = {}) {
  const client = new TestClient(options);
  const driver = new Driver(changes);
  client.receive(driver.feed(client.helloRecord()));
  if (client.retriedGroup !== undefined) client.receive(driver.feed(client.helloRecord()));
  expect(driver.failed).toBeUndefined();
  driver.feed(client.seal(22, client.finished()));
  return { client, driver, established: driver.established! };
}

describe.each([0x1301, 0x1302, 0x1303])('suite %i', (suite) => {
  test.each([X25519, P256])('group %i', (group) => {
    const { client, established } = complete({
      suites: [suite],
      groups: [group],
      serverName: 'Example.ORG.',
    });
    expect(client.verifySignature(publicKey)).toBe(true);
    expect(established.info).toEqual({
      suite,
      group,
      alpn: undefined,
      serverName: 'example.org',
      scheme: 0x0403,
      version: 0x0304,
      helloRetry: false,
      resumption: 'none',
      tickets: 0,
      peerCertificates: [],
      maxFragment: 16_384,
    });
    for (const [ours, theirs] of [
      [established.tx, client.keysOf(client.serverApplicationSecret)],
      [established.rx, client.keysOf(client.clientApplicationSecret)],
    ] as const) {
      expect(Buffer.from(ours.key)).toEqual(Buffer.from(theirs.key));
      expect(Buffer.from(ours.iv)).toEqual(Buffer.from(theirs.iv));
      expect([ours.recordSeq, ours.epoch, ours.suite]).toEqual([0n, 0, suite]);
    }
  });

  test('after a HelloRetryRequest', () => {
    const { client, established } = complete({
      suites: [suite],
      groups: [0x0018, P256],
      sessionId: new Uint8Array(32),
    });
    expect(established.info).toMatchObject({ group: P256, helloRetry: true });
    // One CCS, after the first message (RFC 8446 D.4).
    expect(client.plainRecords).toEqual([22, 20, 22]);
  });
});

test('keys are copies: wiping them leaves zeros', () => {
  const { established } = complete();
  wipe(established.tx);
  wipe(established.update);
  expect(established.tx.key.every((byte) => byte === 0)).toBe(true);
  expect(established.tx.iv.every((byte) => byte === 0)).toBe(true);
  expect(established.update.every((byte) => byte === 0)).toBe(true);
});

// RFC 8446 D.4: "if the client sends a non-empty session ID, the server MUST send the change_cipher_spec".
test('the session id comes back, and a CCS only when there is one', () => {
  const sessionId = Buffer.alloc(32, 7);
  const { client } = complete({ sessionId });
  expect(client.messages[0]!.body.subarray(35, 67)).toEqual(sessionId);
  expect(client.plainRecords).toEqual([22, 20]);
  expect(complete().client.plainRecords).toEqual([22]);
});

test('a share that is there goes before a group that is preferred', () => {
  expect(complete({ groups: [P256, X25519], shares: [P256] }).established.info).toMatchObject({
    group: P256,
    version: 0x0304,
    helloRetry: false,
  });
});

// RFC 8446 9.3: "MUST correctly ignore all unrecognized cipher suites, extensions, and other parameters". RFC 8446
// 4.2.1: "MUST ignore any unknown versions".
test('GREASE and unknown extensions, suites, groups, schemes and versions are passed over', () => {
  const grease = 0x3a3a;
  const edit = (list: Extension[]): Extension[] =>
    [
      [grease, Buffer.of(0)] as const,
      ...list,
      [0xfe0d, Buffer.alloc(40)] as const,
      [0x4a4a, Buffer.alloc(0)] as const,
    ].map(
      ([type, body]) =>
        (type === 43 ? [43, vector8(u16(grease, 0x0304, 0x0303))] : [type, body]) as Extension,
    );
  const { established } = complete({
    suites: [grease, 0x1303],
    groups: [grease, X25519],
    shares: [grease, X25519],
    schemes: [grease, 0x0403],
    edit,
  });
  expect(established.info).toMatchObject({ suite: 0x1303, group: X25519 });
});

describe('ALPN', () => {
  const alpnOf = (client: TestClient) => {
    const extensions = client.messages.find(({ type }) => type === 8)!.body;
    return extensions.includes(Buffer.from('000b00090868', 'hex')) ? 'http/1.1' : undefined;
  };
  // RFC 7301 3.2: "SHALL be definitive for the connection".
  test("the server's preference decides", () => {
    const { client, established } = complete({ alpn: ['h2', 'http/1.1'] }, { alpn: ['http/1.1', 'h2'] });
    expect(established.info.alpn).toBe('http/1.1');
    expect(alpnOf(client)).toBe('http/1.1');
  });
  test('ignored when the server has none', () => {
    const { client, established } = complete({ alpn: ['h2'] });
    expect(established.info.alpn).toBeUndefined();
    expect(alpnOf(client)).toBeUndefined();
  });
});

test('a chain longer than a record goes over several', () => {
  const chain = [new Uint8Array(20_000).fill(1), new Uint8Array(15_000).fill(2)];
  const { client } = complete({}, { selectCredential: () => ({ chain, schemes: [0x0403] }) });
  const certificate = client.messages.find(({ type }) => type === 11)!.body;
  expect(certificate.length).toBe(4 + 20_000 + 5 + 15_000 + 5);
});

test('what comes after the Finished is left over, byte for byte', () => {
  const client = new TestClient();
  const driver = new Driver();
  client.receive(driver.feed(client.helloRecord()));
  const finished = client.seal(22, client.finished());
  client.useApplicationKeys();
  const after = Buffer.concat([
    client.seal(23, Buffer.from('GET / HTTP/1.1\r\n\r\n')),
    Buffer.from([23, 3, 3]),
  ]);
  const input = Buffer.concat([finished, after]);
  driver.feed(input);
  input.fill(0);
  expect(Buffer.from(driver.established!.leftover)).toEqual(Buffer.concat([after]));
  expect(driver.handshake.state).toBe('Closed');
  expect(driver.handshake.receive(after)).toEqual([]);
});

test('nothing happens while a signature is awaited, and nothing is lost', () => {
  const client = new TestClient();
  const handshake = new ServerHandshake(config, nodeCryptoProvider());
  const [event] = handshake.receive(client.helloRecord());
  expect(event?.type).toBe('sign');
  expect(handshake.receive(Buffer.of(20, 3, 3, 0, 1))).toEqual([]);
  expect(handshake.receive(Buffer.of(1, 21, 3, 3, 0, 2, 1))).toEqual([]);
  expect(handshake.receive(Buffer.of(0))).toEqual([]);
  const events = handshake.provideSignature(Buffer.alloc(70));
  expect(events.map(({ type }) => type)).toEqual(['send', 'fail']);
  expect(events[1]).toMatchObject({ reason: 'peer_closed' });
});

test('a signature nobody asked for is refused', () => {
  const handshake = new ServerHandshake(config, nodeCryptoProvider());
  expect(() => handshake.provideSignature(Buffer.alloc(70))).toThrow(
    expect.objectContaining({ code: 'ERR_SOCRYPT_TLS_NOT_SIGNING' }),
  );
});

test('abort answers with internal_error, destroy with nothing', () => {
  const client = new TestClient();
  const aborted = new ServerHandshake(config, nodeCryptoProvider());
  aborted.receive(client.helloRecord());
  expect(aborted.abort()).toMatchObject([{ type: 'fail', reason: 'internal_error', alert: 80 }]);
  expect(aborted.abort()).toEqual([]);
  expect(aborted.provideSignature(Buffer.alloc(70))).toEqual([]);
  const destroyed = new ServerHandshake(config, nodeCryptoProvider());
  destroyed.receive(client.helloRecord());
  destroyed.destroy();
  expect(destroyed.receive(client.helloRecord())).toEqual([]);
});

test('a callback that throws, or gives nonsense, ends the handshake and tells the peer nothing', () => {
  for (const selectCredential of [
    () => {
      throw new Error('secret detail');
    },
    () => ({}) as typeof credential,
  ]) {
    const driver = new Driver({ selectCredential });
    const sent = driver.feed(new TestClient().helloRecord());
    expect(driver.failed).toMatchObject({ reason: 'internal_error', alert: 80 });
    expect(sent).toEqual(record(21, Buffer.of(2, 80)));
  }
});

test('the credential is chosen by name and by schemes', () => {
  let offer: unknown;
  const selectCredential = (given: unknown) => {
    offer = given;
    return credential;
  };
  complete({ serverName: 'a.example', schemes: [0x0804, 0x0403] }, { selectCredential });
  expect(offer).toEqual({ serverName: 'a.example', version: 0x0304, signatureSchemes: [0x0804, 0x0403] });
});

describe('0-RTT replay: early data that was offered', () => {
  const psk: Extension = [
    41,
    Buffer.concat([
      vector16(vector16(Buffer.alloc(8)), Buffer.alloc(4)),
      vector16(vector8(Buffer.alloc(32))),
    ]),
  ];
  const edit = (list: Extension[]): Extension[] => [
    ...list,
    [45, vector8(Buffer.of(1))],
    [42, Buffer.alloc(0)],
    psk,
  ];
  const early = (length: number) => record(23, Buffer.alloc(length, 9));

  test('is skipped up to 16 KB, then the handshake goes on', () => {
    const client = new TestClient({ edit });
    const driver = new Driver();
    client.receive(driver.feed(client.helloRecord()));
    driver.feed(Buffer.concat([early(8_192), early(8_192)]));
    driver.feed(client.seal(22, client.finished()));
    expect(driver.established).toBeDefined();
  });

  test('is an error past 16 KB', () => {
    const client = new TestClient({ edit });
    const driver = new Driver();
    driver.feed(client.helloRecord());
    driver.feed(Buffer.concat([early(8_192), early(8_192), early(1)]));
    expect(driver.failed).toMatchObject({ reason: 'too_much_early_data', alert: 10 });
  });

  test('is skipped before a second hello', () => {
    const client = new TestClient({ groups: [0x0018, P256], edit });
    const driver = new Driver();
    client.receive(driver.feed(client.helloRecord()));
    driver.feed(early(100));
    client.receive(
      driver.feed(client.helloRecord({ edit: (list) => list.concat([[45, vector8(Buffer.of(1))], psk]) })),
    );
    driver.feed(client.seal(22, client.finished()));
    expect(driver.established?.info.helloRetry).toBe(true);
  });

  test('ends with the first record that decrypts', () => {
    const client = new TestClient({ edit });
    const driver = new Driver();
    client.receive(driver.feed(client.helloRecord()));
    const finished = client.finished();
    driver.feed(Buffer.concat([early(64), client.seal(22, finished.subarray(0, 9)), early(64)]));
    expect(driver.failed).toMatchObject({ reason: 'record_did_not_decrypt', alert: 20 });
  });

  test('is no excuse when it was not offered', () => {
    const client = new TestClient();
    const driver = new Driver();
    client.receive(driver.feed(client.helloRecord()));
    const events: HandshakeEvent[] = driver.events;
    driver.feed(early(64));
    expect(events.at(-1)).toMatchObject({ reason: 'record_did_not_decrypt' });
  });
});

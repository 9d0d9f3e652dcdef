import { describe, expect, test } from 'vitest';
import { PostHandshake, type PostHandshakeEvent } from '../../src/tls/index.ts';
import { Driver } from '../support/handshake-driver.ts';
import { nodeCryptoProvider } from '../support/node-crypto-provider.ts';
import { TestClient } from '../support/tls13-client.ts';

const provider = nodeCryptoProvider();

function established(suite = 0x1301) {
  const client = new TestClient({ suites: [suite] });
  const driver = new Driver();
  client.receive(driver.feed(client.helloRecord()));
  driver.feed(client.seal(22, client.finished()));
  return { client, blob: driver.established!.update };
}

/** application_traffic_secret_N+1 (RFC 8446 7.2). */
function next(client: TestClient, secret: Uint8Array): Uint8Array {
  return provider.hkdfExpandLabel(client.hash, secret, 'traffic upd', Buffer.alloc(0), secret.length);
}

const KEY_UPDATE = Buffer.from('1800000100', 'hex');
const KEY_UPDATE_REQUEST = Buffer.from('1800000101', 'hex');
const failure = (events: PostHandshakeEvent[]) => events.find((event) => event.type === 'fail');

describe.each([0x1301, 0x1302, 0x1303])('suite %i', (suite) => {
  // RFC 8446 4.6.3: "Upon receiving a KeyUpdate, the receiver MUST update its receiving keys."
  test('a KeyUpdate gives the next receive keys', () => {
    const { client, blob } = established(suite);
    const state = PostHandshake.open(blob, provider);
    let secret: Uint8Array = client.clientApplicationSecret;
    for (let epoch = 1; epoch <= 3; epoch++) {
      const events = state.receive(KEY_UPDATE);
      secret = next(client, secret);
      const keys = client.keysOf(secret);
      expect(events).toHaveLength(1);
      expect(events[0]).toMatchObject({ type: 'rxKeys', secret: { suite, recordSeq: 0n, epoch } });
      const event = events[0] as Extract<PostHandshakeEvent, { type: 'rxKeys' }>;
      expect(Buffer.from(event.secret.key)).toEqual(Buffer.from(keys.key));
      expect(Buffer.from(event.secret.iv)).toEqual(Buffer.from(keys.iv));
    }
  });

  test('one that asks is answered, without asking back', () => {
    const { client, blob } = established(suite);
    const events = PostHandshake.open(blob, provider).receive(KEY_UPDATE_REQUEST);
    expect(events.map(({ type }) => type)).toEqual(['rxKeys', 'txUpdate']);
    const event = events[1] as Extract<PostHandshakeEvent, { type: 'txUpdate' }>;
    expect(Buffer.from(event.message)).toEqual(KEY_UPDATE);
    const keys = client.keysOf(next(client, client.serverApplicationSecret));
    expect(Buffer.from(event.secret.key)).toEqual(Buffer.from(keys.key));
    expect(event.secret.epoch).toBe(1);
  });

  test('our own, over the blob between each', () => {
    const { client, blob } = established(suite);
    let kept = blob;
    let secret: Uint8Array = client.serverApplicationSecret;
    for (let epoch = 1; epoch <= 3; epoch++) {
      const state = PostHandshake.open(kept, provider);
      const update = state.updateTx(epoch === 2);
      kept = state.blob();
      expect(kept.length).toBeLessThanOrEqual(128);
      secret = next(client, secret);
      expect(Buffer.from(update.message)).toEqual(epoch === 2 ? KEY_UPDATE_REQUEST : KEY_UPDATE);
      expect(Buffer.from(update.secret.key)).toEqual(Buffer.from(client.keysOf(secret).key));
      expect(update.secret.epoch).toBe(epoch);
    }
  });
});

test('fragments are kept in the blob', () => {
  const { client, blob } = established();
  let kept = blob;
  const events: PostHandshakeEvent[] = [];
  for (const byte of KEY_UPDATE_REQUEST) {
    const state = PostHandshake.open(kept, provider);
    events.push(...state.receive(Buffer.of(byte)));
    kept = state.blob();
    state.wipe();
  }
  expect(events.map(({ type }) => type)).toEqual(['rxKeys', 'txUpdate']);
  const keys = client.keysOf(next(client, client.clientApplicationSecret));
  const first = events[0] as Extract<PostHandshakeEvent, { type: 'rxKeys' }>;
  expect(Buffer.from(first.secret.key)).toEqual(Buffer.from(keys.key));
});

test.each([
  ['two in one record', '18000001001800000100', 'handshake_bytes_before_key_change', 10],
  ['one and a part of another', '180000010018', 'handshake_bytes_before_key_change', 10],
  ['one with a byte more', '180000010000', 'handshake_bytes_before_key_change', 10],
  ['an empty record', '', 'empty_handshake_fragment', 10],
  ['a length of 0', '18000000', 'bad_key_update', 50],
  ['a length of 2', '180000020000', 'bad_key_update', 50],
  ['a length of 65537', '1801', 'bad_key_update', 50],
  ['a request of 2', '1800000102', 'bad_key_update_request', 47],
  ['a ClientHello', '01', 'unexpected_handshake_message', 10],
  ['a Certificate', '0b0000', 'unexpected_handshake_message', 10],
  ['a Finished', '14000020', 'unexpected_handshake_message', 10],
  ['a NewSessionTicket', '04', 'unexpected_handshake_message', 10],
])('%s is refused', (_name, content, reason, alert) => {
  const state = PostHandshake.open(established().blob, provider);
  expect(failure(state.receive(Buffer.from(content, 'hex')))).toEqual({ type: 'fail', reason, alert });
});

test('a fragment before, and more than the rest behind it', () => {
  const state = PostHandshake.open(established().blob, provider);
  expect(state.receive(KEY_UPDATE.subarray(0, 3))).toEqual([]);
  expect(failure(state.receive(Buffer.from('010018', 'hex')))).toMatchObject({
    reason: 'handshake_bytes_before_key_change',
  });
});

test.each([0, 1, 16, 79, 81, 128])('a blob of %i bytes that was not made here is refused', (length) => {
  expect(() => PostHandshake.open(Buffer.alloc(length, 1), provider)).toThrow(
    expect.objectContaining({ code: 'ERR_SOCRYPT_TLS_UPDATE_SECRETS' }),
  );
});

test('opening copies, wiping zeroises only the copy', () => {
  const { blob } = established();
  const before = Buffer.from(blob);
  PostHandshake.open(blob, provider).wipe();
  expect(Buffer.from(blob)).toEqual(before);
});

import { describe, expect, test } from 'vitest';
import type { ConnectionEvent } from '../../src/tls/index.ts';
import { TlsConnection } from '../../src/tls/index.ts';
import { config, signature } from '../support/handshake-driver.ts';
import { nodeCryptoProvider } from '../support/node-crypto-provider.ts';
import { TestClient } from '../support/tls13-client.ts';

/** An established connection: a server under test, and a client that is no part of src/. */
function establish(recordLimit?: number) {
  const client = new TestClient();
  const server = TlsConnection.server(
    config,
    nodeCryptoProvider(),
    recordLimit === undefined ? {} : { recordLimit },
  );
  const events: ConnectionEvent[] = [];
  const take = (batch: ConnectionEvent[]): ConnectionEvent[] => {
    for (const event of batch) {
      events.push(event);
      if (event.type === 'send' || event.type === 'fail') client.receive(event.bytes);
      if (event.type === 'sign') take(server.provideSignature(signature(event.data)));
    }
    return batch;
  };
  take(server.receive(client.helloRecord()));
  take(server.receive(client.seal(22, client.finished())));
  client.useApplicationKeys();
  client.rx = client.keysOf(client.serverApplicationSecret);
  expect(server.state).toBe('Established');
  return { client, server, events, take };
}

const KEY_UPDATE = Buffer.of(24, 0, 0, 1, 0);
const KEY_UPDATE_REQUESTED = Buffer.of(24, 0, 0, 1, 1);

describe('an established connection', () => {
  test('carries data both ways, in as many records as it takes', () => {
    const { client, server, take } = establish();
    expect(take(server.receive(client.seal(23, Buffer.from('question'))))).toMatchObject([
      { type: 'data', bytes: Buffer.from('question') },
    ]);
    const answer = Buffer.alloc(40_000, 'answer');
    take(server.write(answer));
    expect(client.applicationData.map(({ length }) => length)).toEqual([16_384, 16_384, 7_232]);
    expect(Buffer.concat(client.applicationData).equals(answer)).toBe(true);
  });

  test('data that comes with the Finished is not lost', () => {
    const client = new TestClient();
    const server = TlsConnection.server(config, nodeCryptoProvider());
    for (const event of server.receive(client.helloRecord())) {
      if (event.type === 'send') client.receive(event.bytes);
      if (event.type === 'sign')
        for (const next of server.provideSignature(signature(event.data)))
          if (next.type === 'send') client.receive(next.bytes);
    }
    const finished = client.seal(22, client.finished());
    client.useApplicationKeys();
    const events = server.receive(Buffer.concat([finished, client.seal(23, Buffer.from('early bird'))]));
    expect(events.map(({ type }) => type)).toEqual(['established', 'data']);
  });

  test('a KeyUpdate changes the key that is read, and is answered when it asks', () => {
    const { client, server, take } = establish();
    take(server.receive(client.seal(22, KEY_UPDATE_REQUESTED)));
    client.updateClientKeys();
    expect(client.keyUpdateRequests).toEqual([0]);
    expect(take(server.receive(client.seal(23, Buffer.of(7)))).map(({ type }) => type)).toEqual(['data']);
    take(server.write(Buffer.from('under the new key')));
    expect(client.applicationData.at(-1)?.toString()).toBe('under the new key');
  });

  test('has at most one request for a KeyUpdate outstanding (RFC 9846 4.7.3)', () => {
    const { client, server, take } = establish();
    for (let i = 0; i < 3; i++) take(server.updateKeys(true));
    expect(client.keyUpdateRequests).toEqual([1, 0, 0]);
    take(server.receive(client.seal(22, KEY_UPDATE)));
    client.updateClientKeys();
    take(server.updateKeys(true));
    expect(client.keyUpdateRequests).toEqual([1, 0, 0, 1]);
  });

  test('changes its key before the limit of records', () => {
    const { client, server, take } = establish(10);
    for (let i = 0; i < 25; i++) take(server.write(Buffer.of(i)));
    // 8 application records and the KeyUpdate: one record is kept for an alert.
    expect(client.keyUpdateRequests).toEqual([0, 0, 0]);
    expect(client.applicationData.map((bytes) => bytes[0])).toEqual(Array.from({ length: 25 }, (_, i) => i));
  });

  test('the fifth warning in a row ends it', () => {
    const { client, server, take } = establish();
    const warning = () => client.seal(21, Buffer.of(1, 90));
    for (let i = 0; i < 4; i++) take(server.receive(warning()));
    take(server.receive(client.seal(23, Buffer.of(1))));
    for (let i = 0; i < 4; i++) expect(take(server.receive(warning()))).toEqual([]);
    expect(take(server.receive(warning()))).toMatchObject([
      { type: 'fail', reason: 'too_many_warning_alerts', alert: 10 },
    ]);
  });

  test('no progress: the 33rd record without application data ends it, whatever kinds they are of', () => {
    const { client, server, take } = establish();
    const kinds: (() => Buffer)[] = [
      () => client.seal(23, Buffer.alloc(0)),
      () => client.seal(21, Buffer.of(1, 90)),
      () => {
        const sealed = client.seal(22, KEY_UPDATE);
        client.updateClientKeys();
        return sealed;
      },
    ];
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 32; i++) {
        // Of warnings, no more than there may be.
        const kind = i < 12 ? kinds[i % 3]! : kinds[2 * (i % 2)]!;
        expect(take(server.receive(kind())).some(({ type }) => type === 'fail')).toBe(false);
      }
      take(server.receive(client.seal(23, Buffer.of(1))));
    }
    for (let i = 0; i < 32; i++) take(server.receive(kinds[2 * (i % 2)]!()));
    expect(take(server.receive(kinds[0]!()))).toMatchObject([
      { type: 'fail', reason: 'no_progress', alert: 10 },
    ]);
    expect(client.alerts).toEqual([10]);
  });

  test.each([
    ['a record in plaintext', () => Buffer.of(22, 3, 3, 0, 1, 0), 'unprotected_record', 10],
    ['a ChangeCipherSpec', () => Buffer.of(20, 3, 3, 0, 1, 1), 'unprotected_record', 10],
    [
      'a record that does not decrypt',
      () => Buffer.concat([Buffer.of(23, 3, 3, 0, 20), Buffer.alloc(20)]),
      'record_did_not_decrypt',
      20,
    ],
    ['a record that is too long', () => Buffer.of(23, 3, 3, 0x41, 1), 'record_too_long', 22],
  ] as const)('%s ends it', (_name, bytes, reason, alert) => {
    const { client, server, take } = establish();
    expect(take(server.receive(bytes()))).toMatchObject([{ type: 'fail', reason, alert }]);
    expect(client.alerts).toEqual([alert]);
    expect(server.receive(client.seal(23, Buffer.of(1)))).toEqual([]);
    expect(server.write(Buffer.of(1))).toEqual([]);
  });

  test('records that verified before a bad one are delivered', () => {
    const { client, server } = establish();
    const good = client.seal(23, Buffer.from('good'));
    const events = server.receive(Buffer.concat([good, Buffer.from(good)]));
    expect(events.map(({ type }) => type)).toEqual(['data', 'fail']);
  });

  // RFC 8446 6.1: "MUST receive a "close_notify" alert before indicating end-of-data to the application layer".
  test('Truncation: an end without close_notify is not an end', () => {
    const cut = establish();
    expect(cut.server.end()).toMatchObject([{ type: 'fail', reason: 'truncated', alert: undefined }]);
    const whole = establish();
    expect(whole.server.receive(whole.client.seal(21, Buffer.of(1, 0)))).toEqual([{ type: 'closed' }]);
    expect(whole.server.receive(whole.client.seal(23, Buffer.from('after all')))).toEqual([]);
    expect(whole.server.end()).toEqual([]);
    // RFC 8446 6.1: each side closes its own direction.
    whole.take(whole.server.write(Buffer.from('still here')));
    whole.take(whole.server.close());
    expect(whole.client.applicationData.at(-1)?.toString()).toBe('still here');
    expect(whole.client.alerts).toEqual([0]);
    expect(whole.server.write(Buffer.from('and gone'))).toEqual([]);
  });

  test('a fatal alert of the peer is not answered', () => {
    const { client, server, take } = establish();
    expect(take(server.receive(client.seal(21, Buffer.of(2, 40))))).toMatchObject([
      { type: 'fail', reason: 'peer_alert', received: 40, bytes: new Uint8Array(0) },
    ]);
  });
});

test('there is nothing to write with before the handshake is over', () => {
  const server = TlsConnection.server(config, nodeCryptoProvider());
  expect(() => server.write(Buffer.of(1))).toThrow(
    expect.objectContaining({ code: 'ERR_SOCRYPT_TLS_NOT_ESTABLISHED' }),
  );
  expect(server.end()).toMatchObject([{ type: 'fail', reason: 'truncated' }]);
});

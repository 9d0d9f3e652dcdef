/**
 * What went wrong in other stacks in TLS 1.2, by the names of the classes. State skipping, EarlyCCS, Length arithmetic and
 * Resumption identity are in the files beside this one.
 */
import { describe, expect, test } from 'vitest';
import { type ConnectionEvent, TlsConnection } from '../../../src/tls/index.ts';
import { config, signature } from '../../support/handshake-driver.ts';
import { nodeCryptoProvider } from '../../support/node-crypto-provider.ts';
import { TestClient12 } from '../../support/tls12-client.ts';
import { message } from '../../support/tls13-client.ts';
import { CONFIG_12 } from './support.ts';

function establish(recordLimit?: number) {
  const client = new TestClient12();
  const options = recordLimit === undefined ? {} : { recordLimit };
  const server = TlsConnection.server({ ...config, ...CONFIG_12 }, nodeCryptoProvider(), options);
  const take = (events: readonly ConnectionEvent[]): void => {
    for (const event of events) {
      if (event.type === 'send' || event.type === 'fail') client.receive(event.bytes);
      if (event.type === 'sign') take(server.provideSignature(signature(event.data)));
      if (event.type === 'fail') failed = event.reason;
    }
  };
  let failed: string | undefined;
  take(server.receive(client.helloRecord()));
  take(server.receive(client.secondFlight()));
  expect(server.state).toBe('Established');
  return { client, server, take, reason: () => failed };
}

describe('Nonce reuse', () => {
  test('the explicit nonce is the sequence number, from the Finished to the last alert', () => {
    const { client, server, take } = establish();
    for (let i = 0; i < 20; i++) take(server.write(Buffer.alloc(17_000, i)));
    take(server.close());
    const nonces = client.explicitNonces.map((nonce) => nonce.readBigUInt64BE());
    // Finished, two records for each write, close_notify.
    expect(nonces).toEqual(Array.from({ length: 42 }, (_, i) => BigInt(i)));
    expect(client.alerts).toEqual([0]);
  });

  test('a key that is used up ends the connection: TLS 1.2 has no KeyUpdate', () => {
    const { client, server, take, reason } = establish(10);
    for (let i = 0; i < 20; i++) take(server.write(Buffer.of(i)));
    expect(reason()).toBe('key_usage_exhausted');
    expect(client.explicitNonces.length).toBeLessThanOrEqual(10);
    expect(new Set(client.explicitNonces.map(String)).size).toBe(client.explicitNonces.length);
    expect(client.alerts).toEqual([0]);
  });
});

describe('Renegotiation', () => {
  test.each([
    ['a ClientHello', (client: TestClient12) => client.hello()],
    ['a HelloRequest', () => message(0, Buffer.alloc(0))],
    ['half a message', () => Buffer.of(1, 0)],
  ])('%s ends the connection with no_renegotiation', (_name, content) => {
    const { client, server, take, reason } = establish();
    take(server.receive(client.seal(22, content(client))));
    expect(reason()).toBe('renegotiation');
    expect(client.alerts).toEqual([100]);
  });
  test('a ChangeCipherSpec is no way in either', () => {
    const { client, server, take, reason } = establish();
    take(server.receive(client.seal(20, Buffer.of(1))));
    expect(reason()).toBe('unexpected_change_cipher_spec');
  });
});

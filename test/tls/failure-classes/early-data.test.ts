/** RFC 8446 8: there is no replay of what is never taken. */
import { describe, expect, test } from 'vitest';
import { readClientHello } from '../../../src/tls/codec/client-hello.ts';
import { type ConnectionEvent, TlsConnection } from '../../../src/tls/index.ts';
import { CraftedPair } from '../../support/crafted-pair.ts';
import { config, signature } from '../../support/handshake-driver.ts';
import { NOW } from '../../support/memory-pair.ts';
import { nodeCryptoProvider } from '../../support/node-crypto-provider.ts';
import { sessionTickets } from '../../support/session-tickets.ts';
import { record, TestClient } from '../../support/tls13-client.ts';

const EARLY_DATA = 42;

describe('0-RTT replay', () => {
  const tickets = sessionTickets();
  const serve = (client: TestClient, bytes: Uint8Array, connection: TlsConnection): ConnectionEvent[] => {
    const queue = connection.receive(bytes);
    for (let i = 0; i < queue.length; i++) {
      const event = queue[i]!;
      if (event.type === 'send' || event.type === 'fail') client.receive(event.bytes);
      if (event.type === 'sign') queue.push(...connection.provideSignature(signature(event.data)));
    }
    return queue;
  };
  const server = () => TlsConnection.server({ ...config, tickets }, nodeCryptoProvider());

  test('no ticket allows it, and early data never reaches the application, resumed or not', () => {
    const first = new TestClient({ pskModes: [1] });
    const connection = server();
    serve(first, first.helloRecord(), connection);
    serve(first, first.seal(22, first.finished()), connection);
    const found = first.messages.filter(({ type }) => type === 4);
    expect(found.length).toBeGreaterThan(0);
    // lifetime, age_add, nonce, ticket: then extensions, of which there are none.
    for (const { body } of found) expect(body.readUInt16BE(body.length - 2)).toBe(0);

    for (const sessions of [[], [first.sessions[0]!]]) {
      const client = new TestClient({
        pskModes: [1],
        sessions,
        edit: (extensions) => [...extensions, [EARLY_DATA, Buffer.alloc(0)]],
      });
      const second = server();
      const early = Array.from({ length: 5 }, () => record(23, Buffer.alloc(200, 0x5a)));
      const events = serve(client, Buffer.concat([client.helloRecord(), ...early]), second);
      events.push(...serve(client, client.seal(22, client.finished()), second));
      client.useApplicationKeys();
      events.push(...serve(client, client.seal(23, Buffer.from('late')), second));
      const types = events.map(({ type }) => type).filter((type) => type !== 'send' && type !== 'sign');
      expect(types).toEqual(['established', 'data']);
    }
  });

  test('a client never offers it, a session to resume or not', () => {
    const hellos: Uint8Array[] = [];
    const pair = new CraftedPair({ version: 0x0304 }).run();
    const session = pair.events.client.find((event) => event.type === 'ticket');
    expect(session).toBeDefined();
    for (const client of [{}, { session: session?.session, now: () => NOW }]) {
      const [sent] = new CraftedPair({ version: 0x0304, client }).connections.client.start();
      if (sent?.type === 'send') hellos.push(sent.bytes.subarray(9));
    }
    expect(hellos).toHaveLength(2);
    expect(hellos[1]!.length).toBeGreaterThan(hellos[0]!.length);
    for (const hello of hellos) expect(readClientHello(hello).offersEarlyData).toBe(false);
  });
});

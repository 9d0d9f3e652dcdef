/** Our client against our server, in memory: whole connections with data both ways. */
import { describe, expect, test } from 'vitest';
import { ClientHandshake, type ServerConfig } from '../../../src/tls/index.ts';
import { clientConfig } from '../../support/client-driver.ts';
import { MemoryPair } from '../../support/memory-pair.ts';
import { nodeCryptoProvider, P256, P384, X25519 } from '../../support/node-crypto-provider.ts';
import { sessionTickets } from '../../support/session-tickets.ts';
import { KEY_KINDS, NAME, testCredential } from '../../support/test-credentials.ts';
import { record } from '../../support/tls13-client.ts';
import { TestServer } from '../../support/tls13-server.ts';

/** Data both ways, KeyUpdates both ways, and an orderly end. */
function expectTraffic(pair: MemoryPair): void {
  const { client, server } = pair;
  client.take(client.connection.write(Buffer.from('from the client')));
  server.take(server.connection.write(Buffer.from('from the server')));
  pair.exchange();
  client.take(client.connection.updateKeys(true));
  server.take(server.connection.updateKeys(true));
  pair.exchange();
  client.take(client.connection.write(Buffer.from(', again')));
  server.take(server.connection.write(Buffer.from(', again')));
  pair.exchange();
  expect([server.text, client.text]).toEqual(['from the client, again', 'from the server, again']);
  client.take(client.connection.close());
  server.take(server.connection.close());
  pair.exchange();
  for (const side of [client, server]) {
    expect(side.failed).toBeUndefined();
    expect(side.events.at(-1)?.type === 'closed' || side.events.at(-2)?.type === 'closed').toBe(true);
  }
}

const mutual: Partial<ServerConfig> = {
  clientAuthentication: { required: true, schemes: clientConfig.signatureSchemes, authorities: [] },
};

describe.each([0x1301, 0x1302, 0x1303])('suite %i', (suite) => {
  describe.each([X25519, P256, P384])('group %i', (group) => {
    test.each([
      ['at once', [group], false, Number.POSITIVE_INFINITY],
      ['at once, both authenticated', [group], true, Number.POSITIVE_INFINITY],
      ['at once, both authenticated, byte by byte', [group], true, 1],
      ['after a HelloRetryRequest', [], false, Number.POSITIVE_INFINITY],
      ['after a HelloRetryRequest, both authenticated', [], true, Number.POSITIVE_INFINITY],
      ['after a HelloRetryRequest, both authenticated, byte by byte', [], true, 1],
    ])('%s, then resumed', (_name, keyShareGroups, isMutual, portion) => {
      const credential = testCredential('ed25519');
      const tickets = sessionTickets();
      const client = {
        suites: [suite],
        groups: [group],
        keyShareGroups,
        alpn: ['h2', 'http/1.1'],
        selectCredential: () => credential,
      };
      const server = { groups: [group], alpn: ['http/1.1'], tickets, ...(isMutual ? mutual : {}) };
      const full = new MemoryPair(client, server, portion);
      const info = {
        version: 0x0304,
        suite,
        group,
        scheme: 0x0403,
        serverName: NAME,
        alpn: 'http/1.1',
        helloRetry: keyShareGroups.length === 0,
      };
      for (const side of [full.client, full.server]) {
        expect(side.established?.info).toMatchObject({ ...info, resumption: 'none' });
      }
      const ours = isMutual ? credential.chain.map((der) => Uint8Array.from(der)) : [];
      expect(full.server.established?.info.peerCertificates).toEqual(ours);
      expect(full.client.sessions).toHaveLength(2);
      expectTraffic(full);

      for (const session of full.client.sessions) {
        const resumed = new MemoryPair({ ...client, session }, server, portion);
        for (const side of [resumed.client, resumed.server]) {
          expect(side.established?.info).toMatchObject({ ...info, resumption: 'resumed' });
        }
        const theirs = testCredential('ecdsa-p256').chain.map((der) => Uint8Array.from(der));
        expect(resumed.client.established?.info.peerCertificates).toEqual(theirs);
        expect(resumed.server.established?.info.peerCertificates).toEqual(ours);
        expectTraffic(resumed);
      }
    });
  });
});

describe.each(KEY_KINDS)('a %s certificate', (kind) => {
  const credential = testCredential(kind);
  const chain = credential.chain.map((der) => Uint8Array.from(der));
  test('of the server, which the caller gets to see', () => {
    const { client } = new MemoryPair({}, { selectCredential: () => credential });
    expect(client.established?.info).toMatchObject({
      scheme: credential.schemes[0],
      peerCertificates: chain,
    });
    expect(client.verified?.chain).toEqual(chain);
  });
  test('of the client', () => {
    const { server } = new MemoryPair({ selectCredential: () => credential }, mutual);
    expect(server.established?.info.peerCertificates).toEqual(chain);
  });
});

test('a client without a certificate says so', () => {
  const optional = { clientAuthentication: { ...mutual.clientAuthentication!, required: false } };
  const { client, server } = new MemoryPair({}, optional);
  expect(client.established).toBeDefined();
  expect(server.established?.info.peerCertificates).toEqual([]);
  const refused = new MemoryPair({}, mutual);
  expect(refused.server.failed).toMatchObject({ reason: 'no_client_certificate', alert: 116 });
});

test('the request tells what the server takes', () => {
  let request: unknown;
  const authorities = [Uint8Array.of(0x30, 0)];
  const selectCredential = (given: unknown) => {
    request = given;
    return undefined;
  };
  const clientAuthentication = { required: false, schemes: [0x0403], authorities };
  new MemoryPair({ selectCredential }, { clientAuthentication });
  expect(request).toEqual({ signatureSchemes: [0x0403], certificateAuthorities: authorities });
});

test.each([
  ['the one of the server', ['h2', 'http/1.1'], ['http/1.1'], 'http/1.1'],
  ['none of the server', ['h2'], [], undefined],
  ['none of the client', [], ['h2'], undefined],
])('ALPN: %s', (_name, offered, known, chosen) => {
  const { client, server } = new MemoryPair({ alpn: offered }, { alpn: known });
  expect([client.established?.info.alpn, server.established?.info.alpn]).toEqual([chosen, chosen]);
});

test('what was asked for of the certificate is shown, at the resumption again', () => {
  const ocspResponse = Uint8Array.from(Buffer.from('30030a0100', 'hex'));
  const sctList = Uint8Array.from(Buffer.from('0003000101', 'hex'));
  const credential = { ...testCredential('ecdsa-p256'), ocspResponse, sctList };
  const server = { tickets: sessionTickets(), selectCredential: () => credential };
  const asks = { requestOcsp: true, requestScts: true };
  const { client } = new MemoryPair(asks, server);
  expect(client.verified).toMatchObject({ ocspResponse, sctList });
  const resumed = new MemoryPair({ ...asks, session: client.sessions[0] }, server);
  expect(resumed.client.established?.info.resumption).toBe('resumed');
  expect(resumed.client.verified).toMatchObject({ ocspResponse, sctList });
  expect(new MemoryPair({}, server).client.verified).toMatchObject({ ocspResponse: undefined });
});

test('authorities that are liked are said', () => {
  let offer: { certificateAuthorities?: unknown } = {};
  const certificateAuthorities = [Uint8Array.of(0x30, 0), Uint8Array.of(0x30, 1, 0)];
  new MemoryPair(
    { certificateAuthorities },
    {
      selectCredential: (given) => {
        // It aliases the message.
        offer = structuredClone(given);
        return testCredential('ecdsa-p256');
      },
    },
  );
  expect(offer.certificateAuthorities).toEqual(certificateAuthorities);
});

test('without a name and without compatibility mode', () => {
  const server = new TestServer();
  const client = new ClientHandshake(
    { ...clientConfig, serverName: undefined, compatibilityMode: false },
    nodeCryptoProvider(),
  );
  for (const event of client.start()) if (event.type === 'send') server.receive(event.bytes);
  expect(server.hello.sessionId).toHaveLength(0);
  expect(server.offered(0)).toBeUndefined();
  // RFC 8446 5.1: the records of a first ClientHello may say 0x0301.
  expect(server.recordVersions).toEqual([0x0301]);
  expect(server.hello.legacyVersion).toBe(0x0303);
  expect(server.hello.compression).toEqual(Buffer.of(0));
});

describe('the caller', () => {
  const handshake = () => new ClientHandshake(clientConfig, nodeCryptoProvider());
  test('starts once', () => {
    const client = handshake();
    expect(client.state).toBe('Start');
    expect(client.start()).toHaveLength(1);
    expect(client.start()).toEqual([]);
    expect(client.state).toBe('ExpectServerHello');
  });
  test('may get bytes before it has started, and fails', () => {
    const client = handshake();
    const [event] = client.receive(record(22, Buffer.from('02000000', 'hex')));
    expect(event).toMatchObject({ type: 'fail', reason: 'unexpected_handshake_message' });
    expect(client.start()).toEqual([]);
  });
  test('gives up before, while waiting for an answer, and while it has one to give', () => {
    const early = handshake();
    expect(early.abort()).toMatchObject([{ type: 'fail', reason: 'internal_error' }]);
    const { client, server } = awaitingVerification();
    expect(client.state).toBe('AwaitVerification');
    expect(client.receive(server.seal(22, server.finished()))).toEqual([]);
    expect(client.abort()).toMatchObject([{ type: 'fail', reason: 'internal_error', alert: 80 }]);
    expect(client.provideVerification(undefined)).toEqual([]);
    const gone = awaitingVerification().client;
    gone.destroy();
    expect(gone.provideVerification(undefined)).toEqual([]);
  });
  test('answers late, and nothing that came meanwhile is lost', () => {
    const { client, server } = awaitingVerification();
    const finished = server.seal(22, server.finished());
    for (const byte of finished) expect(client.receive(Buffer.of(byte))).toEqual([]);
    const events = client.provideVerification(undefined);
    expect(events.map(({ type }) => type)).toEqual(['send', 'established']);
  });
  test('is told when it answers what was not asked', () => {
    const code = (name: string) => expect.objectContaining({ code: `ERR_SOCRYPT_TLS_${name}` });
    expect(() => handshake().provideVerification(undefined)).toThrow(code('NOT_VERIFYING'));
    expect(() => awaitingVerification().client.provideSignature(Buffer.alloc(8))).toThrow(
      code('NOT_SIGNING'),
    );
  });
  test('has a group that the provider has not: its fault, said to nobody', () => {
    const client = new ClientHandshake(
      { ...clientConfig, groups: [0x4a4a], keyShareGroups: [0x4a4a] },
      nodeCryptoProvider(),
    );
    expect(client.start()).toMatchObject([{ type: 'fail', reason: 'internal_error' }]);
  });
});

function awaitingVerification(): { readonly client: ClientHandshake; readonly server: TestServer } {
  const server = new TestServer();
  const client = new ClientHandshake(clientConfig, nodeCryptoProvider());
  for (const event of client.start()) if (event.type === 'send') server.receive(event.bytes);
  client.receive(record(22, server.serverHello()));
  const flight = [server.encryptedExtensions(), server.certificate(), server.certificateVerify()];
  const [event] = client.receive(server.seal(22, Buffer.concat(flight)));
  expect(event?.type).toBe('verify');
  return { client, server };
}

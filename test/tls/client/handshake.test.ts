/** Our client against our server, in memory. */
import { describe, expect, test } from 'vitest';
import { type ClientConfig, type ServerConfig, ServerHandshake } from '../../../src/tls/index.ts';
import { ClientDriver } from '../../support/client-driver.ts';
import { config, type Established } from '../../support/handshake-driver.ts';
import { nodeCryptoProvider, P256, P384, X25519 } from '../../support/node-crypto-provider.ts';
import { KEY_KINDS, NAME, testCredential } from '../../support/test-credentials.ts';
import { signWith } from '../../support/tls-echo-server.ts';

interface Result {
  readonly client: ClientDriver;
  readonly ours: Established;
  readonly theirs: Established;
}

/** A handshake that succeeds, bytes going over in portions. */
function complete(
  client: Partial<ClientConfig> = {},
  server: Partial<ServerConfig> = {},
  portion = Number.POSITIVE_INFINITY,
): Result {
  const driver = new ClientDriver(client);
  const credential = testCredential('ecdsa-p256');
  const handshake = new ServerHandshake(
    { ...config, selectCredential: () => credential, ...server },
    nodeCryptoProvider(),
  );
  let toServer = driver.start();
  let theirs: Established | undefined;
  while (toServer.length > 0) {
    const toClient: Uint8Array[] = [];
    for (let at = 0; at < toServer.length; at += portion) {
      const queue = handshake.receive(Uint8Array.from(toServer.subarray(at, at + portion)));
      for (const event of queue) {
        if (event.type === 'send') toClient.push(event.bytes);
        if (event.type === 'established') theirs = event;
        if (event.type === 'fail') throw new Error(`the server failed: ${event.reason}`);
        if (event.type === 'sign') {
          const { key } = event.credential as typeof credential;
          queue.push(...handshake.provideSignature(signWith(key, event.scheme, event.data)));
        }
      }
    }
    const bytes = Buffer.concat(toClient);
    toServer = driver.feed(bytes, Math.min(portion, bytes.length || 1));
  }
  expect(driver.failed).toBeUndefined();
  expect(driver.handshake.state).toBe('Closed');
  return { client: driver, ours: driver.established!, theirs: theirs! };
}

function expectSameKeys({ ours, theirs }: Result): void {
  for (const [a, b] of [
    [ours.tx, theirs.rx],
    [ours.rx, theirs.tx],
  ] as const) {
    expect(Buffer.from(a.key)).toEqual(Buffer.from(b.key));
    expect(Buffer.from(a.iv)).toEqual(Buffer.from(b.iv));
    expect([a.suite, a.recordSeq, a.epoch]).toEqual([b.suite, b.recordSeq, b.epoch]);
  }
}

describe.each([0x1301, 0x1302, 0x1303])('suite %i', (suite) => {
  describe.each([X25519, P256, P384])('group %i', (group) => {
    test.each([
      ['at once', [group], Number.POSITIVE_INFINITY],
      ['at once, byte by byte', [group], 1],
      ['after a HelloRetryRequest', [], Number.POSITIVE_INFINITY],
      ['after a HelloRetryRequest, byte by byte', [], 1],
    ])('%s', (_name, keyShareGroups, portion) => {
      const result = complete(
        { suites: [suite], groups: [group], keyShareGroups },
        { groups: [group] },
        portion,
      );
      expectSameKeys(result);
      expect(result.ours.info).toMatchObject({
        version: 0x0304,
        suite,
        group,
        scheme: 0x0403,
        serverName: NAME,
        helloRetry: keyShareGroups.length === 0,
      });
    });
  });
});

test.each(KEY_KINDS)('a %s certificate, which the caller gets to see', (kind) => {
  const credential = testCredential(kind);
  const { client, ours } = complete({}, { selectCredential: () => credential });
  expect(ours.info.scheme).toBe(credential.schemes[0]);
  expect(client.verified?.chain.map((der) => Buffer.from(der))).toEqual(credential.chain);
});

test.each([
  ['the one of the server', ['h2', 'http/1.1'], ['http/1.1'], 'http/1.1'],
  ['none of the server', ['h2'], [], undefined],
  ['none of the client', [], ['h2'], undefined],
])('ALPN: %s', (_name, offered, known, chosen) => {
  const { ours, theirs } = complete({ alpn: offered }, { alpn: known });
  expect([ours.info.alpn, theirs.info.alpn]).toEqual([chosen, chosen]);
});

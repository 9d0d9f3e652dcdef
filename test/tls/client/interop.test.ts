/** Real servers over loopback: openssl s_server, node:tls, and gnutls-serv and nginx where they are installed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { P256, P384, X25519 } from '../../support/node-crypto-provider.ts';
import { type ServerProgram, serverProgram } from '../../support/server-program.ts';
import { KEY_KINDS, type KeyKind, testCredential } from '../../support/test-credentials.ts';
import { type ClientSocket, connected } from '../../support/tls-client-socket.ts';

let folder: string;
let server: ServerProgram | undefined;
let client: ClientSocket | undefined;
const file = (kind: KeyKind, what: 'crt' | 'key') => join(folder, `${kind}.${what}`);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'socrypt-client-interop-'));
  for (const kind of KEY_KINDS) {
    const { certificatePem, keyPem } = testCredential(kind);
    writeFileSync(file(kind, 'crt'), certificatePem);
    writeFileSync(file(kind, 'key'), keyPem);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(async () => {
  client?.close();
  await server?.stop();
  server = undefined;
});

async function openssl(kind: KeyKind, ...more: string[]): Promise<number> {
  server = await serverProgram('openssl', (port) => [
    ...['s_server', '-accept', `127.0.0.1:${port}`, '-tls1_3', '-rev', '-num_tickets', '0'],
    ...['-cert', file(kind, 'crt'), '-key', file(kind, 'key'), ...more],
  ]);
  return server.port;
}

describe('openssl s_server', () => {
  test.each([
    ['TLS_AES_128_GCM_SHA256', 0x1301],
    ['TLS_AES_256_GCM_SHA384', 0x1302],
    ['TLS_CHACHA20_POLY1305_SHA256', 0x1303],
  ])('%s', async (name, suite) => {
    client = await connected(await openssl('ecdsa-p256', '-ciphersuites', name));
    await client.ask('stressed\n', 'desserts');
    expect(client.info).toMatchObject({ suite, group: X25519, helloRetry: false });
  });

  test.each(KEY_KINDS)('%s certificate', async (kind) => {
    client = await connected(await openssl(kind));
    await client.ask('stressed\n', 'desserts');
    expect(client.info?.scheme).toBe(testCredential(kind).schemes[0]);
  });

  test.each([
    ['P-256', P256],
    ['P-384', P384],
  ])('a HelloRetryRequest for %s', async (name, group) => {
    client = await connected(await openssl('ecdsa-p256', '-groups', name));
    await client.ask('stressed\n', 'desserts');
    expect(client.info).toMatchObject({ group, helloRetry: true });
  });
});

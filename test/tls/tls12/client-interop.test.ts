/** TLS 1.2 over loopback with real servers: openssl s_server, gnutls-serv, node:tls. */
import { spawnSync } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ClientConfig } from '../../../src/tls/index.ts';
import { P256, P384, X25519 } from '../../support/node-crypto-provider.ts';
import { type ServerProgram, serverProgram } from '../../support/server-program.ts';
import {
  CredentialFiles,
  KEY_KINDS,
  type KeyKind,
  NAME,
  testCredential,
} from '../../support/test-credentials.ts';
import { type ClientSocket, connected } from '../../support/tls-client-socket.ts';
import { CLIENT_12, SUITES } from './support.ts';

const has = (program: string) => spawnSync(program, ['--version']).error === undefined;
let files: CredentialFiles;
let server: ServerProgram | undefined;
let client: ClientSocket | undefined;
beforeAll(() => {
  files = new CredentialFiles();
});
afterAll(() => files.remove());
afterEach(async () => {
  client?.close();
  await server?.stop();
  server = undefined;
});

async function openssl(kind: KeyKind, ...more: string[]): Promise<number> {
  server = await serverProgram('openssl', (port) => [
    ...['s_server', '-accept', `127.0.0.1:${port}`, '-tls1_2', '-rev'],
    ...['-cert', files.file(kind, 'crt'), '-key', files.file(kind, 'key'), ...more],
  ]);
  return server.port;
}
const connect12 = (port: number, config: Partial<ClientConfig> = {}) =>
  connected(port, { config: { ...CLIENT_12, ...config } });

describe('openssl s_server', () => {
  test.each(Object.entries(SUITES))('%s', async (name, suite) => {
    const port = await openssl(name.includes('ECDSA') ? 'ecdsa-p256' : 'rsa', '-cipher', name);
    client = await connect12(port);
    await client.ask('stressed\n', 'desserts');
    expect(client.info).toMatchObject({ version: 0x0303, suite, group: X25519 });
  });

  test.each(KEY_KINDS)('%s certificate', async (kind) => {
    client = await connect12(await openssl(kind));
    await client.ask('stressed\n', 'desserts');
    expect(client.info?.version).toBe(0x0303);
  });

  test.each([
    ['P-256', P256],
    ['P-384', P384],
  ])('group %s', async (name, group) => {
    client = await connect12(await openssl('rsa', '-groups', name));
    await client.ask('stressed\n', 'desserts');
    expect(client.info?.group).toBe(group);
  });

  test.each([
    ['RSA+SHA256', 0x0401],
    ['RSA+SHA512', 0x0601],
    ['RSA-PSS+SHA384', 0x0805],
  ])('signature %s', async (sigalgs, scheme) => {
    client = await connect12(await openssl('rsa', '-sigalgs', sigalgs));
    expect(client.info?.scheme).toBe(scheme);
  });

  test('without tickets, with ALPN', async () => {
    const port = await openssl('ecdsa-p256', '-no_ticket', '-alpn', 'h2,http/1.1');
    client = await connect12(port, { alpn: ['http/1.1'] });
    await client.ask('stressed\n', 'desserts');
    expect(client.info?.alpn).toBe('http/1.1');
  });

  test.each(KEY_KINDS)('our certificate, %s', async (kind) => {
    const port = await openssl('ecdsa-p256', '-Verify', '1', '-CAfile', files.file(kind, 'crt'));
    client = await connect12(port, { selectCredential: () => testCredential(kind) });
    await client.ask('stressed\n', 'desserts');
    await server!.printed(`CN = ${NAME}`);
  });

  test('nobody to be, when nobody has to be', async () => {
    client = await connect12(await openssl('ecdsa-p256', '-verify', '1'));
    await client.ask('stressed\n', 'desserts');
  });
});

describe('sessions', () => {
  const sessionOf = (from: ClientSocket) =>
    from.events.flatMap((event) => (event.type === 'ticket' ? [event.session] : []))[0];

  async function twice(port: number): Promise<void> {
    client = await connect12(port);
    await client.ask('stressed\n', 's');
    const session = sessionOf(client);
    expect(client.info?.resumption).toBe('none');
    client.close();
    client = await connect12(port, { session });
    await client.ask('stressed\n', 's');
    expect(client.info?.resumption).toBe('resumed');
  }

  test.each([
    ['ticket', []],
    ['session id', ['-no_ticket']],
  ])('openssl s_server, by %s', async (_name, more) => {
    await twice(await openssl('ecdsa-p256', ...more));
  });

  test.skipIf(!has('gnutls-serv'))('gnutls-serv, by ticket (skipped without gnutls-bin)', async () => {
    server = await serverProgram('gnutls-serv', (port) => [
      ...['--echo', '--port', String(port), '--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.2'],
      ...['--x509certfile', files.file('rsa', 'crt'), '--x509keyfile', files.file('rsa', 'key')],
      '--disable-client-cert',
    ]);
    await twice(server.port);
  });
});

describe('node:tls', () => {
  let node: Server | undefined;
  afterEach(() => node?.close());
  test.each(KEY_KINDS)('%s', async (kind) => {
    const { certificatePem, keyPem } = testCredential(kind);
    node = createServer({ cert: certificatePem, key: keyPem, maxVersion: 'TLSv1.2' }, (socket) => {
      socket.on('error', () => {});
      socket.on('data', (bytes) => socket.write(bytes.toString().toUpperCase()));
    });
    await new Promise<void>((resolve) => node!.listen(0, '127.0.0.1', resolve));
    client = await connect12((node.address() as AddressInfo).port);
    await client.ask('hello\n', 'HELLO');
    expect(client.info?.version).toBe(0x0303);
  });
});

test.skipIf(!has('gnutls-serv'))('gnutls-serv (skipped without gnutls-bin)', async () => {
  server = await serverProgram('gnutls-serv', (port) => [
    ...['--echo', '--port', String(port), '--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.2', '--nodb'],
    ...[
      '--x509certfile',
      files.file('rsa', 'crt'),
      '--x509keyfile',
      files.file('rsa', 'key'),
      '--disable-client-cert',
    ],
  ]);
  client = await connect12(server.port);
  await client.ask('hello\n', 'hello');
  expect(client.info?.version).toBe(0x0303);
});

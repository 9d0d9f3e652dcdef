/** Real servers over loopback: openssl s_server, node:tls, and gnutls-serv and nginx where they are installed. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer, type Server, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { P256, P384, X25519 } from '../../support/node-crypto-provider.ts';
import { type ServerProgram, serverProgram } from '../../support/server-program.ts';
import {
  CredentialFiles,
  KEY_KINDS,
  type KeyKind,
  NAME,
  testCredential,
} from '../../support/test-credentials.ts';
import { type ClientSocket, type ClientSocketOptions, connected } from '../../support/tls-client-socket.ts';

let certificates: CredentialFiles;
let server: ServerProgram | undefined;
const clients: ClientSocket[] = [];
const file = (kind: KeyKind, what: 'crt' | 'key') => certificates.file(kind, what);
const has = (program: string, ...args: string[]) => spawnSync(program, args).error === undefined;

beforeAll(() => {
  certificates = new CredentialFiles();
});
afterAll(() => certificates.remove());
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server?.stop();
  server = undefined;
});

async function open(port: number, options: ClientSocketOptions = {}): Promise<ClientSocket> {
  const client = await connected(port, options);
  clients.push(client);
  return client;
}

/** A second connection with the session of the first. */
async function reopen(port: number, client: ClientSocket, config: ClientSocketOptions['config'] = {}) {
  await client.until(() => client.sessions.length > 0);
  const session = client.sessions.at(-1);
  // s_server serves one after the other.
  client.close();
  return open(port, { config: { ...config, session } });
}

describe('openssl s_server', () => {
  /** Answers each line with the line reversed. */
  async function reversing(kind: KeyKind, ...more: string[]): Promise<number> {
    server = await serverProgram('openssl', (port) => [
      ...['s_server', '-accept', `127.0.0.1:${port}`, '-tls1_3', '-rev'],
      ...['-cert', file(kind, 'crt'), '-key', file(kind, 'key'), ...more],
    ]);
    return server.port;
  }

  /** Sends what its standard input says, and prints what it gets. */
  async function talking(...more: string[]): Promise<number> {
    server = await serverProgram('openssl', (port) => [
      ...['s_server', '-accept', `127.0.0.1:${port}`, '-tls1_3'],
      ...['-cert', file('ecdsa-p256', 'crt'), '-key', file('ecdsa-p256', 'key'), ...more],
    ]);
    return server.port;
  }

  test.each([
    ['TLS_AES_128_GCM_SHA256', 0x1301],
    ['TLS_AES_256_GCM_SHA384', 0x1302],
    ['TLS_CHACHA20_POLY1305_SHA256', 0x1303],
  ])('%s, then resumed', async (name, suite) => {
    const port = await reversing('ecdsa-p256', '-ciphersuites', name);
    const first = await open(port);
    await first.ask('stressed\n', 'desserts');
    expect(first.info).toMatchObject({ suite, group: X25519, helloRetry: false });
    const second = await reopen(port, first);
    await second.ask('drawer\n', 'reward');
    expect(second.info?.resumption).toBe('resumed');
  });

  test.each(KEY_KINDS)('%s certificate', async (kind) => {
    const client = await open(await reversing(kind));
    await client.ask('stressed\n', 'desserts');
    expect(client.info?.scheme).toBe(testCredential(kind).schemes[0]);
  });

  test.each([
    ['P-256', P256],
    ['P-384', P384],
  ])('a HelloRetryRequest for %s, also when a session is offered', async (name, group) => {
    const port = await reversing('ecdsa-p256', '-groups', name);
    const first = await open(port);
    await first.ask('stressed\n', 'desserts');
    expect(first.info).toMatchObject({ group, helloRetry: true });
    const second = await reopen(port, first);
    await second.ask('drawer\n', 'reward');
    expect(second.info).toMatchObject({ group, helloRetry: true, resumption: 'resumed' });
  });

  test.each(KEY_KINDS)('a %s certificate of ours', async (kind) => {
    const port = await reversing(
      'ecdsa-p256',
      '-Verify',
      '1',
      '-CAfile',
      file(kind, 'crt'),
      '-verify_return_error',
    );
    const client = await open(port, { config: { selectCredential: () => testCredential(kind) } });
    await client.ask('stressed\n', 'desserts');
    await server?.printed(`CN = ${NAME}`);
  });

  test('no certificate of ours, where one is only asked for', async () => {
    const client = await open(await reversing('ecdsa-p256', '-verify', '1'));
    await client.ask('stressed\n', 'desserts');
  });

  test('KeyUpdates, both ways', async () => {
    const client = await open(await talking());
    // Its own, which asks for one of ours.
    server?.say('K');
    await client.until(() => client.count('keyUpdate') === 1);
    server?.say('after the first');
    await client.until(() => client.text.includes('after the first'));
    // Ours, which asks for one of its own.
    client.updateKeys(true);
    client.write('after ours\n');
    // It has read ours, then; it answers with the next thing it has to say.
    await server?.printed('after ours');
    server?.say('after the second');
    await client.until(() => client.text.includes('after the second'));
    expect(client.count('keyUpdate')).toBe(2);
  });

  test('ALPN, and an OCSP response it has none of', async () => {
    const port = await reversing('ecdsa-p256', '-alpn', 'http/1.1,h2');
    const client = await open(port, {
      config: { alpn: ['h2'], requestOcsp: true, requestScts: true, certificateAuthorities: [] },
    });
    await client.ask('stressed\n', 'desserts');
    expect(client.info?.alpn).toBe('h2');
  });
});

describe('node:tls', () => {
  let nodeServer: Server | undefined;
  afterEach(() => {
    nodeServer?.close();
  });

  async function echoing(onSocket: (socket: TLSSocket) => void = () => {}): Promise<number> {
    const [cert, key, ca] = [
      file('ecdsa-p256', 'crt'),
      file('ecdsa-p256', 'key'),
      file('ed25519', 'crt'),
    ].map((path) => readFileSync(path));
    const options = {
      cert,
      key,
      ca,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
    } as const;
    const listening = createTlsServer(options, (socket) => {
      onSocket(socket);
      socket.on('error', () => {});
      socket.on('data', (bytes) => socket.write(String(bytes).toUpperCase()));
    });
    nodeServer = listening;
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
    return (listening.address() as AddressInfo).port;
  }

  test('full, with a certificate of ours, then resumed', async () => {
    const sockets: { authorized: boolean; reused: boolean; name: string | false | null }[] = [];
    const port = await echoing((socket) =>
      sockets.push({
        authorized: socket.authorized,
        reused: socket.isSessionReused(),
        name: (socket as TLSSocket & { servername: string | false | null }).servername,
      }),
    );
    const config = { selectCredential: () => testCredential('ed25519') };
    const first = await open(port, { config });
    await first.ask('ping', 'PING');
    const second = await reopen(port, first, config);
    await second.ask('ping', 'PING');
    expect(sockets).toEqual([
      { authorized: true, reused: false, name: NAME },
      { authorized: true, reused: true, name: NAME },
    ]);
  });

  test('many records', async () => {
    const client = await open(await echoing());
    client.write('x'.repeat(100_000));
    await client.until(() => client.text.length === 100_000);
    expect(client.text).toBe('X'.repeat(100_000));
  });
});

describe.skipIf(!has('gnutls-serv', '--version'))('gnutls-serv', () => {
  async function echoing(kind: KeyKind, ...more: string[]): Promise<number> {
    server = await serverProgram('gnutls-serv', (port) => [
      ...[
        '--echo',
        '--port',
        String(port),
        '--x509certfile',
        file(kind, 'crt'),
        '--x509keyfile',
        file(kind, 'key'),
      ],
      ...more,
    ]);
    return server.port;
  }
  const only = (...names: string[]) => [
    '--priority',
    `NORMAL:-VERS-ALL:+VERS-TLS1.3${names.map((n) => `:${n}`).join('')}`,
  ];

  test.each(['AES-128-GCM', 'AES-256-GCM', 'CHACHA20-POLY1305'])('%s, then resumed', async (cipher) => {
    const port = await echoing('ecdsa-p256', ...only('-CIPHER-ALL', `+${cipher}`));
    const first = await open(port);
    await first.ask('ping\n', 'ping\n');
    const second = await reopen(port, first);
    await second.ask('ping\n', 'ping\n');
    expect(second.info?.resumption).toBe('resumed');
  });
  test.each(KEY_KINDS)('%s certificates on both sides', async (kind) => {
    const port = await echoing(kind, ...only(), '--require-client-cert', '--x509cafile', file(kind, 'crt'));
    const client = await open(port, { config: { selectCredential: () => testCredential(kind) } });
    await client.ask('ping\n', 'ping\n');
  });
  test('a HelloRetryRequest', async () => {
    const port = await echoing('ecdsa-p256', ...only('-GROUP-ALL', '+GROUP-SECP384R1'));
    const client = await open(port);
    await client.ask('ping\n', 'ping\n');
    expect(client.info).toMatchObject({ group: P384, helloRetry: true });
  });
});

describe.skipIf(!has('nginx', '-v'))('nginx', () => {
  async function serving(): Promise<number> {
    const prefix = join(certificates.folder, 'nginx');
    mkdirSync(prefix, { recursive: true });
    server = await serverProgram('nginx', (port) => {
      const lines = [
        'daemon off; master_process off; pid nginx.pid; error_log stderr;',
        'events {} http { access_log off; ssl_protocols TLSv1.3; ssl_session_cache shared:x:1m;',
        ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
          (name) => `${name}_temp_path ${prefix}/${name};`,
        ),
        `server { listen 127.0.0.1:${port} ssl; server_name ${NAME};`,
        `ssl_certificate ${file('rsa', 'crt')}; ssl_certificate_key ${file('rsa', 'key')};`,
        'location / { return 200 "reused=$ssl_session_reused\\n"; } } }',
      ];
      writeFileSync(join(prefix, 'nginx.conf'), lines.join('\n'));
      return ['-p', prefix, '-c', join(prefix, 'nginx.conf')];
    });
    return server.port;
  }

  test('full, then resumed', async () => {
    const port = await serving();
    const request = `GET / HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`;
    const first = await open(port);
    await first.ask(request, 'reused=.\n');
    const second = await reopen(port, first);
    await second.ask(request, 'reused=r\n');
  });
});

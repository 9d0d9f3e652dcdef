/** Real clients that resume, that are asked for a certificate, and both, against src/tls over loopback. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ClientVerifier } from '../../src/control/client-authentication.ts';
import type { HandshakeInfo, ServerConfig } from '../../src/tls/index.ts';
import { type ConnectionServer, connectionServer } from '../support/connection-server.ts';
import { P256, X25519 } from '../support/node-crypto-provider.ts';
import { runClient } from '../support/run-client.ts';
import { sessionTickets } from '../support/session-tickets.ts';
import { CredentialFiles, NAME, testCredential } from '../support/test-credentials.ts';

const has = (program: string) => spawnSync(program, ['--version']).error === undefined;
const certificates = new CredentialFiles();
let server: ConnectionServer | undefined;
let clients: ClientVerifier;

beforeAll(() => {
  clients = new ClientVerifier({
    required: true,
    roots: [readFileSync(certificates.file('ecdsa-p256', 'crt'))],
    crls: [],
  });
});
afterEach(async () => server?.close());
afterAll(() => certificates.remove());

async function serve(changes: Partial<ServerConfig> = {}): Promise<ConnectionServer> {
  const tickets = sessionTickets(undefined, { now: Date.now });
  server = await connectionServer(
    {
      versions: [0x0304],
      suites: [0x1301, 0x1302, 0x1303],
      groups: [X25519, P256],
      alpn: ['http/1.1'],
      maxHandshakeBytes: 65_536,
      selectCredential: () => testCredential('ecdsa-p256'),
      tickets,
      cookies: tickets,
      ...changes,
    },
    (chain) => (clients.verify(chain) === undefined ? undefined : 'certificate_refused'),
  );
  return server;
}

const mutual = (): Partial<ServerConfig> => ({
  clientAuthentication: clients.authentication,
  sessionContext: clients.sessionContext,
});

const infos = ({ outcomes }: ConnectionServer): HandshakeInfo[] =>
  outcomes.flatMap((outcome) => (outcome.type === 'established' ? [outcome.info] : []));

const identity = () =>
  [certificates.file('ecdsa-p256', 'crt'), certificates.file('ecdsa-p256', 'key')] as const;

describe('openssl s_client', () => {
  const args = (port: number, ...more: string[]) => [
    ...['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_3', '-servername', NAME],
    ...['-CAfile', certificates.file('ecdsa-p256', 'crt'), '-verify_return_error', ...more],
  ];

  test.each(['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'])(
    'resumes with %s',
    async (suite) => {
      const running = await serve();
      const session = join(certificates.folder, `${suite}.session`);
      const first = args(running.port, '-ciphersuites', suite, '-sess_out', session);
      await runClient('openssl', first, ['ping'], 'PING');
      const again = args(running.port, '-ciphersuites', suite, '-sess_in', session);
      const output = await runClient('openssl', again, ['ping'], 'PING');
      expect(output).toContain('Reused, TLSv1.3');
      expect(infos(running)).toMatchObject([
        { resumption: 'none', tickets: 2 },
        { resumption: 'resumed', tickets: 1, serverName: NAME },
      ]);
    },
  );

  test('resumes after a HelloRetryRequest', async () => {
    const running = await serve({ groups: [P256] });
    const session = join(certificates.folder, 'retry.session');
    await runClient('openssl', args(running.port, '-sess_out', session), ['ping'], 'PING');
    await runClient('openssl', args(running.port, '-sess_in', session), ['ping'], 'PING');
    expect(infos(running)).toMatchObject([
      { helloRetry: true, resumption: 'none' },
      { helloRetry: true, resumption: 'resumed' },
    ]);
  });

  test('offers early data, which is not taken', async () => {
    const running = await serve();
    const session = join(certificates.folder, 'early.session');
    await runClient('openssl', args(running.port, '-sess_out', session), ['ping'], 'PING');
    const output = await runClient('openssl', args(running.port, '-sess_in', session), ['ping'], 'PING');
    expect(output).toContain('Early data was not sent');
  });

  test.each(['ecdsa-p256', 'rsa'] as const)('shows a certificate of kind %s', async (kind) => {
    const running = await serve(mutual());
    const own = ['-cert', certificates.file(kind, 'crt'), '-key', certificates.file(kind, 'key')];
    if (kind === 'rsa') {
      // Not one of ours.
      await runClient('openssl', args(running.port, ...own), ['ping'], 'alert');
      expect(running.outcomes.map(({ type }) => type)).toEqual(['fail']);
      return;
    }
    const session = join(certificates.folder, 'mutual.session');
    await runClient('openssl', args(running.port, ...own, '-sess_out', session), ['ping'], 'PING');
    await runClient('openssl', args(running.port, ...own, '-sess_in', session), ['ping'], 'PING');
    const [full, resumed] = infos(running);
    expect(full).toMatchObject({ resumption: 'none' });
    expect(resumed).toMatchObject({ resumption: 'resumed' });
    expect(resumed?.peerCertificates.map((der) => Buffer.from(der))).toEqual([
      Buffer.from(testCredential('ecdsa-p256').chain[0]!),
    ]);
  });

  test('without a certificate where one is required', async () => {
    const running = await serve(mutual());
    const output = await runClient('openssl', args(running.port), ['ping'], 'alert');
    expect(output).toContain('tlsv13 alert certificate required');
    expect(running.outcomes).toMatchObject([{ type: 'fail', reason: 'no_client_certificate', alert: 116 }]);
  });
});

describe('node:tls', () => {
  const [cert, key] = [() => readFileSync(identity()[0]), () => readFileSync(identity()[1])];
  function run(port: number, session?: Buffer, own = {}): Promise<{ reused: boolean; session: Buffer }> {
    return new Promise((resolve, reject) => {
      const socket: TLSSocket = connect({
        port,
        host: '127.0.0.1',
        servername: NAME,
        ca: cert(),
        session,
        ...own,
      });
      let latest: Buffer | undefined;
      let reused = false;
      socket.on('session', (given) => {
        latest = given;
      });
      socket.on('data', () => socket.end());
      socket.on('error', reject);
      socket.on('secureConnect', () => {
        reused = socket.isSessionReused();
        socket.write('ping\n');
      });
      socket.on('close', () => {
        if (latest === undefined) reject(new Error('no session'));
        else resolve({ reused, session: latest });
      });
    });
  }
  test('resumes', async () => {
    const { port } = await serve();
    const first = await run(port);
    const second = await run(port, first.session);
    const third = await run(port, second.session);
    expect([first.reused, second.reused, third.reused]).toEqual([false, true, true]);
  });
  test('with a certificate', async () => {
    const running = await serve(mutual());
    const own = { cert: cert(), key: key() };
    const { session } = await run(running.port, undefined, own);
    expect((await run(running.port, session, own)).reused).toBe(true);
    await expect(run(running.port)).rejects.toThrow(/certificate.required/i);
  });
});

describe.skipIf(!has('gnutls-cli'))('gnutls-cli', () => {
  const args = (port: number, ...more: string[]) => [
    ...['--port', String(port), '--x509cafile', certificates.file('ecdsa-p256', 'crt')],
    ...['--sni-hostname', NAME, '--verify-hostname', NAME, ...more, '127.0.0.1'],
  ];
  test('resumes', async () => {
    const running = await serve();
    const output = await runClient(
      'gnutls-cli',
      args(running.port, '--resume', '--waitresumption'),
      ['ping'],
      'PING',
    );
    expect(output).toContain('This is a resumed session');
    expect(infos(running).map(({ resumption }) => resumption)).toEqual(['none', 'resumed']);
  });
  test('with a certificate', async () => {
    const running = await serve(mutual());
    const [cert, key] = identity();
    const own = ['--x509certfile', cert, '--x509keyfile', key];
    const all = args(running.port, ...own, '--resume', '--waitresumption');
    await runClient('gnutls-cli', all, ['ping'], 'PING');
    expect(infos(running).map(({ resumption }) => resumption)).toEqual(['none', 'resumed']);
  });
  test('with a record size limit of its own', async () => {
    const running = await serve();
    await runClient('gnutls-cli', args(running.port, '--recordsize', '512'), ['ping'], 'PING');
    expect(infos(running)[0]?.maxFragment).toBe(512);
  });
});

describe.skipIf(!has('curl'))('curl', () => {
  test('with a certificate, twice', async () => {
    const running = await serve(mutual());
    const [cert, key] = identity();
    const url = `https://${NAME}:${running.port}/`;
    const output = await runClient(
      'curl',
      [
        ...['-sv', '--http0.9', '--resolve', `${NAME}:${running.port}:127.0.0.1`, '--cacert', cert],
        ...['--cert', cert, '--key', key, url, url],
      ],
      [],
      'GET / HTTP/1.1\r\n'.toUpperCase(),
    );
    expect(output).toContain('GET / HTTP/1.1');
    expect(infos(running).map(({ resumption }) => resumption)).toEqual(['none', 'resumed']);
  });
});

/** TLS 1.2 over loopback with real clients (openssl s_client, node:tls, gnutls-cli, curl). */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { MemorySessionCache } from '../../../src/control/tickets/session-cache.ts';
import type { ServerConfig } from '../../../src/tls/index.ts';
import { type ConnectionServer, connectionServer } from '../../support/connection-server.ts';
import { P256, P384, X25519 } from '../../support/node-crypto-provider.ts';
import { runClient } from '../../support/run-client.ts';
import { sessionTickets } from '../../support/session-tickets.ts';
import {
  CredentialFiles,
  KEY_KINDS,
  type KeyKind,
  NAME,
  testCredential,
} from '../../support/test-credentials.ts';
import { SUITES } from './support.ts';

const has = (program: string) => spawnSync(program, ['--version']).error === undefined;
let certificates: CredentialFiles;
let server: ConnectionServer | undefined;
beforeAll(() => {
  certificates = new CredentialFiles();
});
afterAll(() => certificates.remove());
afterEach(() => server?.close());

async function serve(kind: KeyKind, changes: Partial<ServerConfig> = {}): Promise<ConnectionServer> {
  const credential = testCredential(kind);
  server = await connectionServer({
    versions: [0x0304, 0x0303],
    suites: [0x1301, 0x1302, 0x1303, ...Object.values(SUITES)],
    groups: [X25519, P256, P384],
    alpn: ['http/1.1'],
    selectCredential: () => credential,
    maxHandshakeBytes: 65_536,
    ...changes,
  });
  return server;
}

const openssl = (port: number, kind: KeyKind, ...more: string[]) => [
  ...['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_2', '-servername', NAME, '-verify_hostname', NAME],
  ...['-CAfile', certificates.file(kind, 'crt'), '-verify_return_error', ...more],
];
const ESTABLISHED_12 = { type: 'established', info: { version: 0x0303, serverName: NAME } };

describe('openssl s_client', () => {
  test.each(Object.entries(SUITES))('%s', async (name, suite) => {
    const kind = name.includes('ECDSA') ? 'ecdsa-p256' : 'rsa';
    const { port, outcomes } = await serve(kind);
    const output = await runClient('openssl', openssl(port, kind, '-cipher', name), ['ping', 'pong'], 'PONG');
    expect(output).toContain(`Cipher is ${name}`);
    expect(output).toContain('Secure Renegotiation IS supported');
    expect(output).toContain('Extended master secret: yes');
    expect(output).toContain('Verify return code: 0 (ok)');
    expect(outcomes[0]).toMatchObject({ ...ESTABLISHED_12, info: { suite } });
  });

  test.each(KEY_KINDS)('%s certificate', async (kind) => {
    const { port, outcomes } = await serve(kind);
    const output = await runClient('openssl', openssl(port, kind), ['ping'], 'PING');
    expect(output).toContain('Verify return code: 0 (ok)');
    expect(outcomes[0]).toMatchObject(ESTABLISHED_12);
  });

  test.each([
    ['RSA-PSS+SHA384', 'rsa', 0x0805],
    ['RSA+SHA256', 'rsa', 0x0401],
    ['RSA+SHA512', 'rsa', 0x0601],
    // The hash does not belong to the curve, which TLS 1.2 allows.
    ['ECDSA+SHA384', 'ecdsa-p256', 0x0503],
    ['ECDSA+SHA256', 'ecdsa-p384', 0x0403],
  ] as const)('signature %s by %s', async (sigalgs, kind, scheme) => {
    const { port, outcomes } = await serve(kind);
    const output = await runClient('openssl', openssl(port, kind, '-sigalgs', sigalgs), ['ping'], 'PING');
    expect(output).toContain('PING');
    expect(outcomes[0]).toMatchObject({ ...ESTABLISHED_12, info: { scheme } });
  });

  test.each([
    ['X25519', X25519],
    ['P-256', P256],
    ['P-384', P384],
  ])('group %s', async (name, group) => {
    const { port, outcomes } = await serve('rsa');
    const output = await runClient('openssl', openssl(port, 'rsa', '-groups', name), ['ping'], 'PING');
    expect(output).toContain('PING');
    expect(outcomes[0]).toMatchObject({ ...ESTABLISHED_12, info: { group } });
  });

  test.each([
    ['no AEAD suite', ['-cipher', 'ECDHE-RSA-AES128-SHA256'], 'no_common_suite'],
    ['static RSA', ['-cipher', 'AES128-GCM-SHA256'], 'no_common_suite'],
    ['no signature scheme', ['-sigalgs', 'ECDSA+SHA256'], 'no_common_signature_scheme'],
    ['no group', ['-groups', 'X448'], 'no_common_group'],
  ])('%s in common', async (_name, more, reason) => {
    const { port, outcomes } = await serve('rsa');
    const output = await runClient('openssl', openssl(port, 'rsa', ...more), [], 'no such thing');
    expect(output).toContain('handshake failure');
    expect(outcomes).toMatchObject([{ type: 'fail', reason, alert: 40 }]);
  });

  test('a fallback that was not needed is refused (RFC 7507)', async () => {
    const { port, outcomes } = await serve('rsa');
    const output = await runClient('openssl', openssl(port, 'rsa', '-fallback_scsv'), [], 'no such thing');
    expect(output).toContain('inappropriate fallback');
    expect(outcomes).toMatchObject([{ type: 'fail', reason: 'inappropriate_fallback', alert: 86 }]);
  });

  test('renegotiation is refused', async () => {
    const { port, outcomes } = await serve('rsa');
    // s_client: a line "R" renegotiates.
    await runClient('openssl', openssl(port, 'rsa'), ['ping', 'R'], 'no such thing');
    expect(outcomes.map(({ type }) => type)).toEqual(['established', 'fail']);
    expect(outcomes[1]).toMatchObject({ reason: 'renegotiation' });
  });
});

describe('sessions', () => {
  const sessions = () => ({
    tickets: sessionTickets(),
    sessionCache: new MemorySessionCache({ maxSessions: 8, lifetime: 7200, now: Date.now }),
  });
  const resumptions = ({ outcomes }: ConnectionServer) =>
    outcomes.flatMap((event) => (event.type === 'established' ? [event.info.resumption] : []));

  test.each([
    ['ticket', []],
    ['session id', ['-no_ticket']],
  ])('openssl s_client -reconnect, by %s', async (_name, more) => {
    const changes = sessions();
    changes.tickets.clock = Date.now();
    const echo = await serve('ecdsa-p256', changes);
    const output = await runClient(
      'openssl',
      openssl(echo.port, 'ecdsa-p256', '-reconnect', ...more),
      ['ping'],
      'PING',
    );
    expect(output.match(/Reused, TLSv1.2/g)).toHaveLength(5);
    expect(resumptions(echo)).toEqual(['none', ...Array(5).fill('resumed')]);
  });

  test('node:tls, by ticket', async () => {
    const changes = sessions();
    changes.tickets.clock = Date.now();
    const echo = await serve('rsa', changes);
    const ask = (session?: Buffer) =>
      new Promise<{ reused: boolean; session: Buffer }>((resolve, reject) => {
        const ca = readFileSync(certificates.file('rsa', 'crt'));
        const options = {
          port: echo.port,
          host: '127.0.0.1',
          servername: NAME,
          ca,
          maxVersion: 'TLSv1.2',
        } as const;
        const socket = connect(session === undefined ? options : { ...options, session });
        socket.on('error', reject);
        socket.on('data', () => {
          resolve({ reused: socket.isSessionReused(), session: socket.getSession()! });
          socket.end();
        });
        socket.write('hello\n');
      });
    const first = await ask();
    expect([first.reused, (await ask(first.session)).reused]).toEqual([false, true]);
    expect(resumptions(echo)).toEqual(['none', 'resumed']);
  });

  test.skipIf(!has('gnutls-cli'))('gnutls-cli --resume (skipped without gnutls-bin)', async () => {
    const changes = sessions();
    changes.tickets.clock = Date.now();
    const echo = await serve('rsa', changes);
    const args = ['--resume', '--x509cafile', certificates.file('rsa', 'crt'), '--sni-hostname', NAME];
    args.push('--verify-hostname', NAME, '--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.2');
    const output = await runClient(
      'gnutls-cli',
      [...args, '-p', String(echo.port), '127.0.0.1'],
      ['ping'],
      'PING',
    );
    expect(output).toContain('This is a resumed session');
    expect(resumptions(echo)).toEqual(['none', 'resumed']);
  });
});

describe('certificates', () => {
  const clientAuthentication = {
    required: true,
    schemes: [0x0403, 0x0503, 0x0807, 0x0804, 0x0401],
    authorities: [],
  };
  test.each(KEY_KINDS)("the client's, %s", async (kind) => {
    const { port, outcomes } = await serve('ecdsa-p256', { clientAuthentication });
    const own = ['-cert', certificates.file(kind, 'crt'), '-key', certificates.file(kind, 'key')];
    const output = await runClient('openssl', openssl(port, 'ecdsa-p256', ...own), ['ping'], 'PING');
    expect(output).toContain('PING');
    expect(outcomes[0]).toMatchObject({
      info: { peerCertificates: testCredential(kind).chain.map((der) => new Uint8Array(der)) },
    });
  });
  test('none, where one is required', async () => {
    const { port, outcomes } = await serve('ecdsa-p256', { clientAuthentication });
    const output = await runClient('openssl', openssl(port, 'ecdsa-p256'), [], 'no such thing');
    expect(output).toContain('handshake failure');
    expect(outcomes).toMatchObject([{ type: 'fail', reason: 'no_client_certificate_12' }]);
  });
  test('a stapled response', async () => {
    const credential = { ...testCredential('rsa'), ocspResponse: Buffer.from('30030a0106', 'hex') };
    const { port } = await serve('rsa', { selectCredential: () => credential });
    const output = await runClient('openssl', openssl(port, 'rsa', '-status'), ['ping'], 'PING');
    expect(output).toContain('OCSP response');
    expect(output).not.toContain('no response sent');
  });
});

describe('node:tls', () => {
  test.each(KEY_KINDS)('%s', async (kind) => {
    const { port, outcomes } = await serve(kind);
    const socket = connect({
      port,
      host: '127.0.0.1',
      servername: NAME,
      ca: readFileSync(certificates.file(kind, 'crt')),
      maxVersion: 'TLSv1.2',
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    const answer = await new Promise<string>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('data', (bytes) => resolve(bytes.toString()));
      socket.write('hello\n');
    });
    expect(answer).toBe('HELLO\n');
    expect(socket).toMatchObject({ authorized: true, alpnProtocol: 'http/1.1' });
    expect(socket.getProtocol()).toBe('TLSv1.2');
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.end();
    await closed;
    expect(outcomes.map(({ type }) => type)).toEqual(['established', 'closed']);
  });
});

describe('gnutls-cli', () => {
  test.skipIf(!has('gnutls-cli')).each(['ecdsa-p256', 'rsa'] as const)(
    '%s (skipped without gnutls-bin)',
    async (kind) => {
      const { port, outcomes } = await serve(kind);
      const args = ['--x509cafile', certificates.file(kind, 'crt'), '--sni-hostname', NAME];
      args.push('--verify-hostname', NAME, '--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.2');
      const output = await runClient(
        'gnutls-cli',
        [...args, '-p', String(port), '127.0.0.1'],
        ['ping'],
        'PING',
      );
      expect(output).toContain('PING');
      expect(outcomes[0]).toMatchObject(ESTABLISHED_12);
    },
  );
});

test.skipIf(!has('curl'))('curl --tls-max 1.2 (skipped without curl)', async () => {
  const { port, outcomes } = await serve('rsa');
  const args = ['--silent', '--tls-max', '1.2', '--http0.9', '--max-time', '10'];
  args.push('--cacert', certificates.file('rsa', 'crt'), '--resolve', `${NAME}:${port}:127.0.0.1`);
  const output = await runClient('curl', [...args, `https://${NAME}:${port}/path`], [], 'no such thing');
  expect(output).toContain('GET /PATH HTTP/1.1');
  expect(outcomes[0]).toMatchObject(ESTABLISHED_12);
});

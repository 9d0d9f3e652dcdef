/** Real clients over loopback: openssl s_client, node:tls, and gnutls-cli and curl where they are installed. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ServerConfig } from '../../src/tls/index.ts';
import { P256, X25519 } from '../support/node-crypto-provider.ts';
import { runClient } from '../support/run-client.ts';
import {
  type EchoCredential,
  type EchoServer,
  echoCredential,
  echoServer,
} from '../support/tls-echo-server.ts';

const NAME = 'interop.example';
const KINDS = {
  'ecdsa-p256': { newkey: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'], schemes: [0x0403] },
  'ecdsa-p384': { newkey: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'], schemes: [0x0503] },
  ed25519: { newkey: ['ed25519'], schemes: [0x0807] },
  rsa: { newkey: ['rsa:2048'], schemes: [0x0804, 0x0805, 0x0806] },
} as const;
type Kind = keyof typeof KINDS;
const kinds = Object.keys(KINDS) as Kind[];
const has = (program: string) => spawnSync(program, ['--version']).error === undefined;

let folder: string;
const credentials = new Map<Kind, EchoCredential>();
let server: EchoServer | undefined;
const file = (kind: Kind, what: string) => join(folder, `${kind}.${what}`);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'socrypt-interop-'));
  for (const kind of kinds) {
    const { newkey, schemes } = KINDS[kind];
    execFileSync(
      'openssl',
      [
        ...[
          'req',
          '-x509',
          '-nodes',
          '-days',
          '2',
          '-subj',
          `/CN=${NAME}`,
          '-addext',
          `subjectAltName=DNS:${NAME}`,
        ],
        ...['-newkey', ...newkey, '-keyout', file(kind, 'key'), '-out', file(kind, 'crt')],
      ],
      { stdio: 'pipe' },
    );
    const read = (what: string) => readFileSync(file(kind, what), 'utf8');
    credentials.set(kind, echoCredential(read('crt'), read('key'), [...schemes]));
  }
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => server?.close());

async function serve(kind: Kind, changes: Partial<ServerConfig> = {}): Promise<EchoServer> {
  server = await echoServer({
    versions: [0x0304],
    suites: [0x1301, 0x1302, 0x1303],
    groups: [X25519, P256],
    alpn: ['http/1.1'],
    selectCredential: () => credentials.get(kind),
    maxHandshakeBytes: 65_536,
    ...changes,
  });
  return server;
}

const openssl = (port: number, kind: Kind, ...more: string[]) => [
  ...['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_3', '-servername', NAME, '-verify_hostname', NAME],
  ...['-CAfile', file(kind, 'crt'), '-verify_return_error', ...more],
];

describe('openssl s_client', () => {
  const suites = {
    TLS_AES_128_GCM_SHA256: 0x1301,
    TLS_AES_256_GCM_SHA384: 0x1302,
    TLS_CHACHA20_POLY1305_SHA256: 0x1303,
  };
  test.each(Object.entries(suites))('%s', async (name, suite) => {
    const { port, outcomes } = await serve('ecdsa-p256');
    const output = await runClient(
      'openssl',
      openssl(port, 'ecdsa-p256', '-ciphersuites', name),
      ['ping'],
      'PING',
    );
    expect(output).toContain(`Cipher is ${name}`);
    expect(output).toContain('Verify return code: 0 (ok)');
    expect(outcomes).toMatchObject([
      { type: 'established', info: { suite, serverName: NAME, helloRetry: false } },
    ]);
  });

  test.each(kinds)('%s certificate', async (kind) => {
    const { port, outcomes } = await serve(kind);
    const output = await runClient('openssl', openssl(port, kind), ['ping'], 'PING');
    expect(output).toContain('Verify return code: 0 (ok)');
    expect(outcomes).toMatchObject([{ type: 'established', info: { scheme: KINDS[kind].schemes[0] } }]);
  });

  test.each([
    ['X25519', X25519, false],
    ['P-256', P256, false],
    ['X448:P-256', P256, true],
    ['P-384:X25519', X25519, true],
  ])('groups %s', async (groups, group, helloRetry) => {
    const { port, outcomes } = await serve('ecdsa-p256');
    const output = await runClient(
      'openssl',
      openssl(port, 'ecdsa-p256', '-groups', groups),
      ['ping'],
      'PING',
    );
    expect(output).toContain('PING');
    expect(outcomes).toMatchObject([{ type: 'established', info: { group, helloRetry } }]);
  });

  test('without compatibility mode, with ALPN', async () => {
    const { port, outcomes } = await serve('rsa');
    const args = openssl(port, 'rsa', '-no_middlebox', '-alpn', 'h2,http/1.1');
    const output = await runClient('openssl', args, ['ping'], 'PING');
    expect(output).toContain('ALPN protocol: http/1.1');
    expect(outcomes).toMatchObject([{ type: 'established', info: { alpn: 'http/1.1' } }]);
  });

  test('KeyUpdate, one way and both', async () => {
    const echo = await serve('ecdsa-p256');
    const args = openssl(echo.port, 'ecdsa-p256');
    const output = await new Promise<string>((resolve, reject) => {
      const child = spawn('openssl', args, { stdio: 'pipe' });
      let seen = '';
      // s_client: a line "k" updates its own key, "K" asks for ours as well.
      const steps = [
        ['Verify return code', 'alpha\n'],
        ['ALPHA', 'K\n'],
        ['KEYUPDATE', 'bravo\n'],
        ['BRAVO', 'k\n'],
        ['KEYUPDATE', 'charlie\n'],
      ];
      let from = 0;
      const take = (bytes: Buffer) => {
        seen += bytes.toString('latin1');
        while (steps.length > 0) {
          const at = seen.indexOf(steps[0]![0]!, from);
          if (at < 0) break;
          from = at + 1;
          child.stdin.write(steps.shift()![1]!);
        }
        if (seen.includes('CHARLIE')) child.stdin.end();
      };
      child.stdout.on('data', take);
      child.stderr.on('data', take);
      child.on('error', reject);
      const timer = setTimeout(() => child.kill(), 10_000);
      child.on('close', () => {
        clearTimeout(timer);
        resolve(seen);
      });
    });
    expect(output).toContain('CHARLIE');
    expect(echo.keyUpdates).toBe(2);
  });

  test.each([
    ['TLS 1.2 only', ['-tls1_2'], 'no_common_version', 'protocol version'],
    ['no group in common', ['-groups', 'X448'], 'no_common_group', 'handshake failure'],
    [
      'no scheme in common',
      ['-sigalgs', 'RSA-PSS+SHA256'],
      'no_common_signature_scheme',
      'handshake failure',
    ],
    ['no protocol in common', ['-alpn', 'h2'], 'no_common_alpn', 'no application protocol'],
  ])('%s', async (_name, more, reason, alert) => {
    const { port, outcomes } = await serve('ecdsa-p256');
    const args = openssl(port, 'ecdsa-p256', ...more).filter(
      (arg) => arg !== '-tls1_3' || !more.includes('-tls1_2'),
    );
    const output = await runClient('openssl', args, [], 'no such thing');
    expect(output).toContain(alert);
    expect(outcomes).toMatchObject([{ type: 'fail', reason }]);
  });

  test('a client that does not trust the certificate says so', async () => {
    const { port, outcomes } = await serve('ecdsa-p256');
    await runClient('openssl', openssl(port, 'rsa'), [], 'no such thing');
    expect(outcomes).toMatchObject([{ type: 'fail', reason: 'peer_alert', received: expect.any(Number) }]);
  });
});

describe('node:tls', () => {
  test.each(kinds)('%s', async (kind) => {
    const { port, outcomes } = await serve(kind);
    const socket: TLSSocket = connect({
      port,
      host: '127.0.0.1',
      servername: NAME,
      ca: readFileSync(file(kind, 'crt')),
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    const answer = await new Promise<string>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('data', (bytes) => resolve(bytes.toString()));
      socket.write('hello\n');
    });
    expect(answer).toBe('HELLO\n');
    expect([socket.authorized, socket.alpnProtocol, socket.getProtocol()]).toEqual([
      true,
      'http/1.1',
      'TLSv1.3',
    ]);
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.end();
    await closed;
    expect(outcomes).toHaveLength(1);
  });
});

test.skipIf(!has('gnutls-cli'))('gnutls-cli (skipped without gnutls-bin)', async () => {
  const { port, outcomes } = await serve('rsa');
  const args = ['--x509cafile', file('rsa', 'crt'), '--sni-hostname', NAME, '--verify-hostname', NAME];
  const output = await runClient(
    'gnutls-cli',
    [...args, '--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.3', '-p', String(port), '127.0.0.1'],
    ['ping'],
    'PING',
  );
  expect(output).toContain('PING');
  expect(outcomes).toMatchObject([{ type: 'established' }]);
});

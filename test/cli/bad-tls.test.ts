/** Mistakes in what TLS is configured with: the command ends at the start, and says which option was wrong. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Command, compile, removeCompiled } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'socrypt-bad-tls-'));
const path = (name: string) => join(folder, name);
const KINDS = {
  good: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa: ['rsa:2048'],
  weak: ['rsa:1024'],
  p521: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-521'],
  ed448: ['ed448'],
};

beforeAll(() => {
  compile();
  for (const [name, newkey] of Object.entries(KINDS)) {
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-days', '30'];
    const files = ['-keyout', path(`${name}.key`), '-out', path(`${name}.crt`)];
    execFileSync('openssl', ['req', '-x509', '-nodes', ...names, '-newkey', ...newkey, ...files], {
      stdio: 'pipe',
    });
  }
  const encrypted = [
    'pkcs8',
    '-topk8',
    '-in',
    path('good.key'),
    '-out',
    path('encrypted.key'),
    '-passout',
    'pass:secret',
  ];
  execFileSync('openssl', encrypted, { stdio: 'pipe' });
  const one = Buffer.alloc(32, 'one key of a fleet').toString('base64');
  const two = Buffer.alloc(32, 'other key of a fleet').toString('base64');
  const files = {
    garbage: 'neither PEM nor DER',
    'two-current': `current ${one}\ncurrent ${two}\n`,
    'no-current': `previous ${one}\n`,
    twice: `current ${one}\nprevious ${one}\n`,
    short: `current ${Buffer.alloc(31, 'abcdefghijklmnop').toString('base64')}\n`,
    zero: `current ${Buffer.alloc(32).toString('base64')}\n`,
    open: `current ${one}\n`,
  };
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(path(name), content);
    chmodSync(path(name), name === 'open' ? 0o644 : 0o600);
  }
});
afterAll(() => {
  removeCompiled();
  rmSync(folder, { recursive: true });
});

const pair = (cert: string, key = cert) => ['--cert', path(`${cert}.crt`), '--key', path(`${key}.key`)];
const GOOD = () => pair('good');
type Case = readonly [what: string, args: () => string[], named: readonly string[], code: string];

const CASES: readonly Case[] = [
  ['a key that is too weak', () => pair('weak'), ['--key', 'weak.key', '1024'], 'ERR_SOCRYPT_KEY_WEAK'],
  ['a curve that is not taken', () => pair('p521'), ['--key', 'P-521'], 'ERR_SOCRYPT_KEY_CURVE'],
  [
    'a certificate without a usable signature scheme',
    () => pair('ed448'),
    ['--key', 'Ed448'],
    'ERR_SOCRYPT_KEY_TYPE',
  ],
  ['an encrypted key', () => pair('good', 'encrypted'), ['--key', 'encrypted'], 'ERR_SOCRYPT_KEY_ENCRYPTED'],
  [
    'a key of another certificate',
    () => pair('good', 'rsa'),
    ['--key', '--cert'],
    'ERR_SOCRYPT_KEY_MISMATCH',
  ],
  ['a certificate without a key', () => GOOD().slice(0, 2), ['key'], ''],
  [
    'a certificate that none of the suites takes',
    () => [...pair('rsa'), '--suite', 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256'],
    ['--suite', 'RSA 2048', 'TLS_ECDHE_ECDSA'],
    'ERR_SOCRYPT_CERTIFICATE_UNUSABLE',
  ],
  [
    'a suite below the lowest version',
    () => [...GOOD(), '--suite', 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', '--min-version', '1.3'],
    ['--suite', '--min-version'],
    '',
  ],
  ['an unknown suite', () => [...GOOD(), '--suite', 'TLS_RSA_WITH_AES_128_CBC_SHA'], ['--suite', 'CBC'], ''],
  ['an unknown group', () => [...GOOD(), '--group', 'x448'], ['--group', 'x448'], ''],
  ['an unknown version', () => [...GOOD(), '--min-version', '1.1'], ['--min-version', '1.1'], ''],
  ['too many tickets', () => [...GOOD(), '--tickets', '9'], ['--tickets', '9'], ''],
  ...['garbage', 'two-current', 'no-current', 'twice', 'short', 'zero', 'open'].map(
    (file): Case => [
      `ticket keys: ${file}`,
      () => [...GOOD(), '--ticket-keys', path(file)],
      ['--ticket-keys', file],
      'ERR_SOCRYPT_TICKET_KEYS',
    ],
  ),
  [
    'ticket keys that are not there',
    () => [...GOOD(), '--ticket-keys', path('nowhere')],
    ['--ticket-keys', 'nowhere'],
    'ERR_SOCRYPT_FILE_UNREADABLE',
  ],
  [
    'authorities that are none',
    () => [...GOOD(), '--client-ca', path('good.crt'), '--client-ca', path('garbage')],
    ['--client-ca', 'garbage'],
    'ERR_SOCRYPT_CERTIFICATE_MISSING',
  ],
  [
    'revocation lists that are none',
    () => [...GOOD(), '--client-ca', path('good.crt'), '--client-crl', path('garbage')],
    ['--client-crl', 'garbage'],
    'ERR_SOCRYPT_CRL_MISSING',
  ],
  [
    'revocation lists of nobody',
    () => [...GOOD(), '--client-crl', path('garbage')],
    ['--client-crl', '--client-ca'],
    'ERR_SOCRYPT_CLIENT_CA_MISSING',
  ],
];

describe('socrypt serve', () => {
  test.each(CASES)('%s', async (_what, args, named, code) => {
    const command = new Command(['serve', folder, '--port', '0', '--workers', '1', ...args()]);
    const late = setTimeout(() => command.signal('SIGKILL'), 30_000);
    const { status } = await command.finished;
    clearTimeout(late);
    expect(status, command.stderr).not.toBe(0);
    expect(status, 'it has served').not.toBe(null);
    for (const word of named) expect(command.stderr).toContain(word);
    if (code !== '') expect(command.stderr).toContain(`[${code}]`);
    expect(
      command.stderr
        .trim()
        .split('\n')
        .filter((line) => !line.startsWith('{')),
    ).toHaveLength(1);
    expect(command.stderr).not.toContain('    at ');
    expect(command.stdout).toBe('');
  });
});

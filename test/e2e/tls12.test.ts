/** TLS 1.2 through the whole server: every suite, the right bytes, both ways of saying no. */
import type { ConnectionOptions } from 'node:tls';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Server } from '../../src/index.ts';
import {
  type Credentials,
  issue,
  parseResponses,
  program,
  run,
  Site,
  sha256,
  start,
  tls,
} from './support.ts';

const SUITES = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-RSA-CHACHA20-POLY1305',
];
const SIZES = [0, 1, 16_383, 16_384, 16_385, 1_000_001];
const TLS12 = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;

const site = new Site();
let credentials: Credentials;
let server: Server;
const registry = new Registry();
const contents = new Map<number, Buffer>();

const fetch = async (from: Server, name: string, options: ConnectionOptions) =>
  (await tls(from.address!.port, credentials, options)).write(`GET /${name} HTTP/1.0\r\n\r\n`).end;

beforeAll(async () => {
  for (const size of SIZES) {
    const content = Buffer.alloc(size, `content of ${size} bytes, `);
    contents.set(size, content);
    site.plant(`${size}.bin`, content);
  }
  credentials = issue(site.directory);
  server = await start(site, credentials, { registry });
});
afterAll(async () => {
  await server?.close();
  site.remove();
});

it.each([
  ['a ticket', []],
  ['its session id, of a client without tickets', ['-no_ticket']],
])('a session is resumed by %s', async (_how, options) => {
  const port = server.address!.port;
  // Six connections, each with the session of the one before.
  const { stdout } = await run(
    'openssl',
    ['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_2', '-reconnect', ...options],
    'Q',
  );
  const lines = stdout.toString().match(/^(?:New|Reused), TLSv1\.2/gm);
  expect(lines?.map((line) => line.split(',')[0])).toEqual(['New', ...Array(5).fill('Reused')]);
});

describe.each(SUITES)('%s', (ciphers) => {
  it.each(SIZES)('fetches %i bytes', async (size) => {
    const { bytes } = await fetch(server, `${size}.bin`, { ...TLS12, ciphers });
    const [response] = parseResponses(bytes, ['GET']);
    expect(response!.status).toBe(200);
    expect(sha256(response!.body)).toBe(sha256(contents.get(size)!));
  });
});

it('counts it as what it is', async () => {
  const text = await registry.metrics();
  expect(text).toMatch(
    /socrypt_tls_negotiated_total\{version="TLSv1.2",cipher="TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"/,
  );
});

it.skipIf(program('curl') === null)('curl --tls-max 1.2 (skipped without curl)', async () => {
  const url = `https://localhost:${server.address!.port}/16385.bin`;
  const args = ['--silent', '--tls-max', '1.2', '--cacert', credentials.ca, '--write-out', '%{http_code}'];
  const { stdout } = await run('curl', [
    ...args,
    '--resolve',
    `localhost:${server.address!.port}:127.0.0.1`,
    url,
  ]);
  expect(stdout.subarray(-3).toString()).toBe('200');
  expect(stdout.length).toBe(16_385 + 3);
});

it('with minVersion 1.3 it is refused', async () => {
  const strict = await start(site, credentials, { minVersion: '1.3' });
  try {
    await expect(fetch(strict, '1.bin', TLS12)).rejects.toMatchObject({
      code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    });
    expect((await fetch(strict, '1.bin', {})).bytes.length).toBeGreaterThan(0);
  } finally {
    await strict.close();
  }
});

it('a suite list without a suite of the lowest version that is wanted fails at the start', async () => {
  const suites = ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'];
  await expect(start(site, credentials, { minVersion: '1.3', suites })).rejects.toThrow(/--min-version/);
});

/** Other people's TLS clients against the server as users run it: Go's crypto/tls, Java's JSSE, NSS. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Server } from '../../src/index.ts';
import { type Credentials, issue, program, run, Site, sha256, start } from '../e2e/support.ts';

const site = new Site();
const content = site.random('file.bin', 300_000);
let credentials: Credentials;
const servers: Server[] = [];

/** A server with all the groups, and one that makes every client which prefers X25519 ask again. */
let port: number;
let retryPort: number;

const go = program('go');
const java = program('java');
const tstclnt = program('tstclnt');
const certutil = program('certutil');
const goClient = site.path('go-client');
const database = `sql:${site.path('nss')}`;

beforeAll(async () => {
  credentials = issue(site.directory);
  // JSSE asks for new keys after this much under one.
  writeFileSync(
    site.path('java.security'),
    'jdk.tls.keyLimits=AES/GCM/NoPadding KeyUpdate 2^18, ChaCha20-Poly1305 KeyUpdate 2^18\n',
  );
  const listen = async (options: Parameters<typeof start>[2]) => {
    const server = await start(site, credentials, { workers: 1, ...options });
    servers.push(server);
    return server.address.port;
  };
  port = await listen({});
  retryPort = await listen({ groups: ['secp384r1'] });
  if (go !== null) {
    // A program of one file and no modules; what it is compiled to stays with the test.
    execFileSync(go, ['build', '-o', goClient, `${import.meta.dirname}/clients/client.go`], {
      env: { ...process.env, GO111MODULE: 'off', GOCACHE: site.path('go-cache'), CGO_ENABLED: '0' },
    });
  }
  if (certutil !== null) {
    execFileSync('mkdir', ['-p', site.path('nss')]);
    execFileSync(certutil, ['-N', '-d', database, '--empty-password']);
    execFileSync(certutil, ['-A', '-d', database, '-n', 'ca', '-t', 'C,,', '-a', '-i', credentials.ca]);
  }
}, 180_000);
afterAll(async () => {
  for (const server of servers) await server.close(0);
  site.remove();
});

interface Report {
  readonly version: string;
  readonly suite: string;
  readonly resumed: boolean;
  readonly protocol: string;
  readonly status: number;
  readonly length: number;
  readonly sha256: string;
}

async function reports(command: string, args: readonly string[]): Promise<Report[]> {
  const { code, stdout, stderr } = await run(command, args, '');
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  return stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Report);
}

const whole = () => ({ status: 200, length: content.length, sha256: sha256(content), protocol: 'http/1.1' });

/** The options that both programs have. */
function clients(): [name: string, missing: string | null, command: () => string[]][] {
  return [
    ['Go crypto/tls', go === null ? 'go is not installed (golang-go)' : null, () => [goClient]],
    [
      'Java JSSE',
      java === null ? 'java is not installed (default-jdk-headless)' : null,
      () => [
        ...[java!, `-Djava.security.properties=${site.path('java.security')}`],
        `${import.meta.dirname}/clients/Client.java`,
      ],
    ],
  ];
}
describe.each(clients())('%s', (name, missing, command) => {
  const prefix = name.startsWith('Go') ? '-' : '--';
  const ask = (at: number, ...more: string[]) => {
    const [program, ...args] = command();
    return reports(program!, [
      ...args,
      ...[`${prefix}address`, `127.0.0.1:${at}`, `${prefix}name`, 'localhost'],
      ...[`${prefix}ca`, credentials.ca, `${prefix}path`, '/file.bin'],
      ...more.map((argument, i) => (i % 2 === 0 ? `${prefix}${argument}` : argument)),
    ]);
  };
  const test = it.skipIf(missing !== null);

  test(`TLS 1.3${missing === null ? '' : ` (${missing})`}`, async () => {
    const before = servers[0]!.stats().counters.rekeys_rx!;
    expect(await ask(port)).toMatchObject([{ version: '1.3', ...whole() }]);
    // Go's crypto/tls answers a KeyUpdate and never sends one of its own accord.
    if (name === 'Java JSSE') expect(servers[0]!.stats().counters.rekeys_rx!).toBeGreaterThan(before);
  });

  test('after a HelloRetryRequest', async () => {
    const groups = name.startsWith('Go') ? 'X25519,P-384' : 'x25519,secp384r1';
    expect(await ask(retryPort, 'groups', groups)).toMatchObject([{ version: '1.3', ...whole() }]);
  });
});

describe('NSS tstclnt', () => {
  const missing = tstclnt === null || certutil === null ? 'libnss3-tools is not installed' : null;
  const test = it.skipIf(missing !== null);
  const ask = async (at: number, ...more: string[]) => {
    const request = 'GET /file.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    site.plant('../request', request);
    return run(
      tstclnt!,
      [
        ...['-4', '-h', '127.0.0.1', '-p', String(at), '-a', 'localhost', '-d', database, '-v'],
        ...['-A', site.path('request'), ...more],
      ],
      '',
    );
  };

  test(`TLS 1.3${missing === null ? '' : ` (${missing})`}`, async () => {
    const { stdout, stderr } = await ask(port, '-V', 'tls1.3:tls1.3');
    expect(stderr).toContain('SSL version 3.4 using');
    expect(stdout.includes(content)).toBe(true);
  });

  test('after a HelloRetryRequest', async () => {
    const { stdout } = await ask(retryPort, '-V', 'tls1.3:tls1.3', '-I', 'x25519,P384');
    expect(stdout.includes(content)).toBe(true);
  });
});

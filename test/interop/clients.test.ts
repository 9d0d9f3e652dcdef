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
/** One that lets nobody in without a certificate. */
let guardedPort: number;

const go = program('go');
const java = program('java');
const tstclnt = program('tstclnt');
const certutil = program('certutil');
const goClient = site.path('go-client');
const client = { cert: site.path('client.pem'), key: site.path('client.key'), p12: site.path('client.p12') };
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
  guardedPort = await listen({ clientCa: [credentials.ca], clientAuth: 'require' });
  execFileSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...[
      '-subj',
      '/CN=a client',
      '-addext',
      'extendedKeyUsage=clientAuth',
      '-addext',
      'basicConstraints=CA:FALSE',
    ],
    ...['-addext', 'keyUsage=digitalSignature', '-CA', credentials.ca, '-CAkey', site.path('ca.key')],
    ...['-keyout', client.key, '-out', client.cert],
  ]);
  execFileSync('openssl', [
    ...['pkcs12', '-export', '-in', client.cert, '-inkey', client.key, '-name', 'client'],
    ...['-passout', 'pass:test', '-out', client.p12],
  ]);
  if (go !== null) {
    // A program of one file and no modules; what it is compiled to stays with the test.
    execFileSync(go, ['build', '-o', goClient, `${import.meta.dirname}/clients/client.go`], {
      env: { ...process.env, GO111MODULE: 'off', GOCACHE: site.path('go-cache'), CGO_ENABLED: '0' },
    });
  }
  if (certutil !== null) {
    execFileSync('mkdir', ['-p', site.path('nss')]);
    execFileSync(certutil, ['-N', '-d', database, '--empty-password']);
    execFileSync(program('pk12util')!, ['-i', client.p12, '-d', database, '-W', 'test', '-K', '']);
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
  const isGo = name.startsWith('Go');
  const prefix = isGo ? '-' : '--';
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
  // Go before 1.21 has no extended master secret, without which no session of TLS 1.2 is resumed (RFC 7627 5.3).
  const goVersion =
    go === null ? 0 : Number(/go1\.(\d+)/.exec(execFileSync(go, ['version'], { encoding: 'utf8' }))?.[1]);
  const resumes = (version: string) => version === '1.3' || !isGo || goVersion >= 21;

  test(`TLS 1.3${missing === null ? '' : ` (${missing})`}`, async () => {
    const before = servers[0]!.stats().counters.rekeys_rx!;
    expect(await ask(port)).toMatchObject([{ version: '1.3', ...whole() }]);
    // Go's crypto/tls answers a KeyUpdate and never sends one of its own accord.
    if (!isGo) expect(servers[0]!.stats().counters.rekeys_rx!).toBeGreaterThan(before);
  });

  test('TLS 1.2', async () => {
    expect(await ask(port, 'version', '1.2')).toMatchObject([{ version: '1.2', ...whole() }]);
  });

  test.each(['1.3', '1.2'])('resumes a session of TLS %s', async (version) => {
    const all = await ask(port, 'version', version, 'connections', '3');
    const resumed = resumes(version);
    expect(all).toMatchObject([
      { version, resumed: false, ...whole() },
      { version, resumed, ...whole() },
      { version, resumed, ...whole() },
    ]);
  });

  test.each(['1.3', '1.2'])('shows its certificate in TLS %s, and resumes with it', async (version) => {
    const credential = isGo ? ['cert', client.cert, 'key', client.key] : ['p12', client.p12];
    const all = await ask(guardedPort, 'version', version, 'connections', '2', ...credential);
    expect(all).toMatchObject([
      { version, resumed: false, ...whole() },
      { version, resumed: resumes(version), ...whole() },
    ]);
    await expect(ask(guardedPort, 'version', version)).rejects.toThrow();
  });

  test('after a HelloRetryRequest', async () => {
    const groups = isGo ? 'X25519,P-384' : 'x25519,secp384r1';
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

  test('TLS 1.2', async () => {
    const { stdout, stderr } = await ask(port, '-V', 'tls1.2:tls1.2');
    expect(stderr).toContain('SSL version 3.3 using');
    expect(stdout.includes(content)).toBe(true);
  });

  test.each(['tls1.3', 'tls1.2'])('resumes a session of %s', async (version) => {
    const resumed = () => servers[0]!.stats().handshakes.resumed;
    const before = resumed();
    await ask(port, '-V', `${version}:${version}`, '-u', '-G', '-L', '3');
    await expect.poll(resumed).toBeGreaterThan(before);
  });

  test.each(['tls1.3', 'tls1.2'])('shows its certificate in %s', async (version) => {
    const { stdout } = await ask(guardedPort, '-V', `${version}:${version}`, '-n', 'client');
    expect(stdout.includes(content)).toBe(true);
  });

  test('after a HelloRetryRequest', async () => {
    const { stdout } = await ask(retryPort, '-V', 'tls1.3:tls1.3', '-I', 'x25519,P384');
    expect(stdout.includes(content)).toBe(true);
  });
});

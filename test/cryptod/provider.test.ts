/**
 * The OpenSSL provider in the programs that people would use it in: openssl's commands and nginx, over a daemon of this process
 * whose counters tell whether the work came here; and without one, when it refuses, and when it dies in the middle.
 */

import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CryptodDaemon } from '../../src/cryptod/daemon.ts';
import { freePort, program } from '../e2e/support.ts';
import { BLOCK_DRIVERS, haveBlockCiphers, opensslConfiguration, Place } from './support.ts';

const modules = fileURLToPath(new URL('../../build/native/', import.meta.url));
const reason = (() => {
  if (!existsSync(join(modules, 'socrypt-provider.so')))
    return 'socrypt-provider.so is not built: libssl-dev';
  const version = spawnSync('openssl', ['version'], { encoding: 'utf8' });
  return version.status === 0 && /^OpenSSL 3/.test(version.stdout) ? '' : 'no OpenSSL 3 on the path';
})();
const run = promisify(execFile);

let place: Place;
let daemon: CryptodDaemon;
const children: ChildProcess[] = [];
beforeAll(() => {
  place = new Place();
  daemon = place.daemon({ drivers: BLOCK_DRIVERS });
  execFileSync(
    'openssl',
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-subj',
        '/CN=localhost',
      ],
      ...[
        '-keyout',
        join(place.directory, 'key.pem'),
        '-out',
        join(place.directory, 'cert.pem'),
        '-days',
        '2',
      ],
    ],
    { stdio: 'ignore' },
  );
});
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  place.remove();
});

const PROVIDERS = ['-provider-path', modules, '-provider', 'socrypt-provider', '-provider', 'default'];
const OURS = [...PROVIDERS, '-propquery', '?provider=socrypt'];
const env = (socket = place.socket) => ({ ...process.env, SOCRYPT_CRYPTOD: socket });
/** What the daemon did meanwhile. */
async function opsOf<T>(action: () => Promise<T>): Promise<[T, number]> {
  const before = daemon.counters().ops!;
  const result = await action();
  return [result, daemon.counters().ops! - before];
}

const enc = (args: string[], input: Buffer, socket?: string) =>
  new Promise<Buffer>((resolve, reject) => {
    const child = spawn('openssl', ['enc', ...args], { env: env(socket), stdio: ['pipe', 'pipe', 'pipe'] });
    const out: Buffer[] = [];
    let said = '';
    child.stdout.on('data', (chunk) => out.push(chunk));
    child.stderr.on('data', (chunk) => {
      said += chunk;
    });
    child.on('close', (status) => (status === 0 ? resolve(Buffer.concat(out)) : reject(new Error(said))));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });

describe.skipIf(reason !== '')(`the OpenSSL provider (skipped: ${reason})`, () => {
  it.each([
    ['aes-128-cbc', 16],
    ['aes-256-cbc', 32],
    ['aes-128-ctr', 16],
    ['aes-256-ctr', 32],
  ] as const)('openssl enc -%s: what node:crypto says, by the daemon, both ways', async (name, keyBytes) => {
    const [key, iv] = [randomBytes(keyBytes), randomBytes(16)];
    for (const length of [0, 1, 15, 16, 17, 4096, 300_001]) {
      const plain = randomBytes(length);
      const cipher = createCipheriv(name, key, iv);
      const expected = Buffer.concat([cipher.update(plain), cipher.final()]);
      const args = [`-${name}`, '-K', key.toString('hex'), '-iv', iv.toString('hex'), ...OURS];
      const [sealed, ops] = await opsOf(() => enc(args, plain));
      expect(sealed.equals(expected)).toBe(true);
      if (length >= 16 && haveBlockCiphers) expect(ops).toBeGreaterThan(0);
      expect((await enc(['-d', ...args], sealed)).equals(plain)).toBe(true);
    }
  });

  it('openssl speed -evp aes-128-gcm: every op of -aead is the daemon’s', async () => {
    const args = ['speed', ...PROVIDERS, '-seconds', '1', '-bytes', '4096', '-evp', 'aes-128-gcm'];
    const [first, ops] = await opsOf(() =>
      run('openssl', [...args, '-aead', '-propquery', '?provider=socrypt'], { env: env() }),
    );
    const done = Number(/Doing AES-128-GCM for 1s on 4096 size blocks: (\d+)/i.exec(first.stderr)?.[1]);
    expect(done).toBeGreaterThan(100);
    expect(ops).toBeGreaterThanOrEqual(done);
    const streamed = await run('openssl', args, { env: env() });
    expect(streamed.stdout).toMatch(/AES-128-GCM/i);
  });

  it('without a daemon, or one that lends nothing, software does the same', async () => {
    const [key, iv, plain] = [randomBytes(16), randomBytes(16), randomBytes(10_000)];
    const cipher = createCipheriv('aes-128-cbc', key, iv);
    const expected = Buffer.concat([cipher.update(plain), cipher.final()]);
    const args = ['-aes-128-cbc', '-K', key.toString('hex'), '-iv', iv.toString('hex'), ...OURS];
    expect((await enc(args, plain, '/nonexistent/socket')).equals(expected)).toBe(true);
    const stingy = new Place();
    const refusing = stingy.daemon({ allowSoftware: false });
    expect((await enc(args, plain, stingy.socket)).equals(expected)).toBe(true);
    expect(refusing.counters()).toMatchObject({ ops: 0, sessions_refused: 1 });
    stingy.remove();
  });

  it.skipIf(!haveBlockCiphers)('the daemon dies in mid-operation: the client notices nothing', async () => {
    const mortal = new Place();
    const dying = mortal.daemon({ drivers: BLOCK_DRIVERS });
    const [key, iv, plain] = [randomBytes(16), randomBytes(16), randomBytes(40 << 20)];
    const cipher = createCipheriv('aes-128-cbc', key, iv);
    const expected = createHash('sha256').update(cipher.update(plain)).update(cipher.final()).digest('hex');
    const args = ['-aes-128-cbc', '-K', key.toString('hex'), '-iv', iv.toString('hex'), ...OURS];
    const result = enc(args, plain, mortal.socket);
    while (dying.counters().ops! < 20) await new Promise((resolve) => setTimeout(resolve, 1));
    dying.stop();
    expect(
      createHash('sha256')
        .update(await result)
        .digest('hex'),
    ).toBe(expected);
    expect(dying.counters().ops).toBeLessThan((40 << 20) / 8192);
    mortal.remove();
  });

  const suites = [
    ['-tls1_3', ['-ciphersuites', 'TLS_AES_128_GCM_SHA256']],
    ['-tls1_3', ['-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256']],
    ['-tls1_2', ['-cipher', 'ECDHE-ECDSA-AES256-GCM-SHA384']],
    ['-tls1_2', ['-cipher', 'ECDHE-ECDSA-CHACHA20-POLY1305']],
    ['-tls1_2', ['-cipher', 'ECDHE-ECDSA-AES128-SHA']],
  ] as const;
  it.each(suites)(
    'openssl s_server and s_client %s %s: records by the daemon on both sides',
    async (version, suite) => {
      const port = await freePort();
      const certificate = [
        '-cert',
        join(place.directory, 'cert.pem'),
        '-key',
        join(place.directory, 'key.pem'),
      ];
      const page = join(place.directory, 'page.bin');
      const content = randomBytes(200_000);
      writeFileSync(page, content);
      const server = spawn(
        'openssl',
        [
          's_server',
          ...OURS,
          ...certificate,
          '-accept',
          `127.0.0.1:${port}`,
          '-HTTP',
          '-quiet',
          version,
          ...suite,
        ],
        { env: env(), cwd: place.directory, stdio: 'ignore' },
      );
      children.push(server);
      for (let up = false; !up; ) up = await answers(port);
      const [got, ops] = await opsOf(
        () =>
          new Promise<Buffer>((resolve, reject) => {
            const client = spawn(
              'openssl',
              [
                's_client',
                ...OURS,
                '-connect',
                `127.0.0.1:${port}`,
                '-quiet',
                '-no_ign_eof',
                '-ign_eof',
                version,
              ],
              { env: env(), stdio: ['pipe', 'pipe', 'ignore'] },
            );
            children.push(client);
            const out: Buffer[] = [];
            client.stdout.on('data', (chunk) => out.push(chunk));
            client.on('close', () => resolve(Buffer.concat(out)));
            client.on('error', reject);
            client.stdin.write('GET /page.bin HTTP/1.0\r\n\r\n');
          }),
      );
      expect(got.subarray(-content.length).equals(content)).toBe(true);
      // TLS 1.2 with CBC is left to the default provider from beginning to end.
      if (!suite[1].endsWith('-SHA')) expect(ops).toBeGreaterThan(200_000 / 16_384);
      server.kill('SIGKILL');
    },
  );

  it.skipIf(program('nginx') === null)(
    'nginx with it by openssl.cnf: workers are forked, and have their own sessions',
    async () => {
      const port = await freePort();
      const site = join(place.directory, 'site');
      mkdirSync(site);
      const content = randomBytes(1 << 20);
      writeFileSync(join(site, 'file.bin'), content);
      writeFileSync(
        join(place.directory, 'openssl.cnf'),
        opensslConfiguration(join(modules, 'socrypt-provider.so'), place.socket),
      );
      writeFileSync(
        join(place.directory, 'nginx.conf'),
        `daemon off; worker_processes 2; user root; pid ${join(place.directory, 'nginx.pid')}; error_log stderr;
events { }
http {
  access_log off;
  client_body_temp_path ${place.directory}/t; proxy_temp_path ${place.directory}/t; fastcgi_temp_path ${place.directory}/t;
  uwsgi_temp_path ${place.directory}/t; scgi_temp_path ${place.directory}/t;
  server {
    listen 127.0.0.1:${port} ssl; root ${site};
    ssl_certificate ${place.directory}/cert.pem; ssl_certificate_key ${place.directory}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off;
  }
}
`,
      );
      const { SOCRYPT_CRYPTOD: _, ...rest } = process.env;
      const nginx = spawn('nginx', ['-p', place.directory, '-c', join(place.directory, 'nginx.conf')], {
        env: { ...rest, OPENSSL_CONF: join(place.directory, 'openssl.cnf') },
        stdio: 'ignore',
      });
      children.push(nginx);
      for (let up = false; !up; ) up = await answers(port);
      const fetchFile = (maxVersion: 'TLSv1.2' | 'TLSv1.3') =>
        new Promise<Buffer>((resolve, reject) => {
          const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, maxVersion }, () =>
            socket.write('GET /file.bin HTTP/1.0\r\n\r\n'),
          );
          const out: Buffer[] = [];
          socket.on('data', (chunk) => out.push(chunk));
          socket.on('end', () => resolve(Buffer.concat(out)));
          socket.on('error', reject);
        });
      const [pages, ops] = await opsOf(() =>
        Promise.all([...Array(4).fill('TLSv1.3'), ...Array(4).fill('TLSv1.2')].map(fetchFile)),
      );
      for (const page of pages) expect(page.subarray(-content.length).equals(content)).toBe(true);
      expect(ops).toBeGreaterThan((8 * content.length) / 16_384);
      // To its end: who kills a master leaves its workers behind.
      const ended = once(nginx, 'exit');
      nginx.kill('SIGTERM');
      await ended;
    },
  );
});

const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => setTimeout(() => resolve(false), 50));
  });

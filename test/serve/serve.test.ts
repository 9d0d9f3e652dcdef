import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ServeOptions, type Server, serve } from '../../src/index.ts';
import { Folder, get, getPlain, keepAlive, until } from './support.ts';

let folder: Folder;
let ca: string;
let credential: { cert: string; key: string };
let servers: Server[] = [];
let lines: { level: string; fields: Record<string, unknown>; text: string }[] = [];
const at = (level: string) => (fields: object, text: string) =>
  void lines.push({ level, fields: fields as Record<string, unknown>, text });
const logger = { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };

beforeEach(() => {
  folder = new Folder();
  const made = folder.credential('one');
  ca = made.pem;
  credential = made;
  folder.write('site/index.html', '<h1>hello</h1>');
  lines = [];
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0);
  servers = [];
  folder.remove();
});

const base = (): ServeOptions => ({
  root: join(folder.path, 'site'),
  port: 0,
  workers: 2,
  cert: credential.cert,
  key: credential.key,
  logger,
});
async function start(options: ServeOptions = {}): Promise<Server> {
  const server = await serve({ ...base(), ...options });
  servers.push(server);
  return server;
}
function openFiles(): number {
  // Native objects close what they hold when they are collected, at the latest.
  globalThis.gc?.();
  return readdirSync('/proc/self/fd').length;
}

describe('serve()', () => {
  it('serves a folder, byte for byte, and says what it did', async () => {
    const big = randomBytes(3_000_001);
    folder.write('site/big.bin', big);
    const server = await start();
    expect(server.address).toEqual({
      host: '127.0.0.1',
      port: server.address.port,
      url: `https://localhost:${server.address.port}/`,
    });
    const { port } = server.address;
    const page = await get({ port, ca });
    expect([page.status, page.body.toString()]).toEqual([200, '<h1>hello</h1>']);
    const file = await get({ port, ca, path: '/big.bin' });
    const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
    expect(sha(file.body)).toBe(sha(big));
    expect((await get({ port, ca, path: '/none' })).status).toBe(404);
    const stats = server.stats();
    expect(stats).toMatchObject({ requests: 3, handshakes: { full: 3, failed: 0 } });
    expect(stats.responseBytes).toBeGreaterThan(big.length);
    expect(stats.counters.responses_404).toBe(1);
    expect(server.offload).toMatchObject({
      path: 'software',
      engine: expect.stringMatching(/ipsec-mb|libcrypto/),
    });
  });

  it('leaves nothing open after close()', async () => {
    // Once before counting: node's own lazily opened descriptors are not ours.
    await (await start({ metricsPort: 0, redirectPort: 0 })).close();
    const before = openFiles();
    const server = await start({
      metricsPort: 0,
      redirectPort: 0,
      accessLog: join(folder.path, 'access.log'),
    });
    await get({ port: server.address.port, ca });
    await server.close();
    await until(() => openFiles() <= before, `at most ${before} descriptors`);
    await expect(get({ port: server.address.port, ca })).rejects.toThrow(/ECONNREFUSED/);
    await server.close();
  });

  it('leaves nothing open when any part fails', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const port = (taken.address() as { port: number }).port;
    await start().then((server) => server.close());
    const before = openFiles();
    const failures: [ServeOptions, string][] = [
      [{ port }, 'ERR_SOCRYPT_PORT_IN_USE'],
      [{ metricsPort: port }, 'ERR_SOCRYPT_PORT_IN_USE'],
      [{ redirectPort: port }, 'ERR_SOCRYPT_PORT_IN_USE'],
      [{ root: join(folder.path, 'none') }, 'ERR_SOCRYPT_ROOT_MISSING'],
      [{ root: credential.cert }, 'ERR_SOCRYPT_ROOT_NOT_DIRECTORY'],
      [{ cert: '/none' }, 'ERR_SOCRYPT_FILE_UNREADABLE'],
      [{ key: folder.credential('other').key }, 'ERR_SOCRYPT_KEY_MISMATCH'],
      [{ accessLog: '/none/access.log' }, 'ERR_SOCRYPT_ACCESS_LOG'],
      [{ host: '192.0.2.1' }, 'ERR_SOCRYPT_ADDRESS'],
      [{ cors: ['https://a.example/path'] }, 'ERR_SOCRYPT_HTTP_OPTION'],
      [{ workers: 0 }, 'ERR_SOCRYPT_OPTION'],
    ];
    for (const [options, code] of failures) {
      await expect(start(options), code).rejects.toMatchObject({ code });
    }
    await until(() => openFiles() <= before, `at most ${before} descriptors`);
    taken.close();
  });

  it('takes a client that asks for HTTP/1.0 in ALPN, as `curl -0` does', async () => {
    const server = await start();
    const socket = connect({
      port: server.address.port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca,
      ALPNProtocols: ['http/1.0'],
    });
    socket.end('GET / HTTP/1.0\r\n\r\n');
    let text = '';
    for await (const chunk of socket) text += chunk;
    expect(socket.alpnProtocol).toBe('http/1.0');
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n<h1>hello<\/h1>$/s);
  });
  it('takes header fields in every form that its type has', async () => {
    const rule = { match: '/index.html', name: 'X-A', value: 'b' };
    const forms: ServeOptions['headers'][] = [{ 'X-A': 'b' }, 'X-A: b', ['X-A: b'], rule, [rule]];
    for (const headers of forms) {
      const server = await start({ headers });
      const answer = await get({ port: server.address.port, path: '/index.html', ca });
      expect(answer.headers['x-a'], JSON.stringify(headers)).toBe('b');
      expect(answer.headers).not.toHaveProperty('match');
    }
  });
  it('warns of a page that an option names and the root lacks', async () => {
    folder.write('site/e.html', 'e');
    await start({ spa: '/idnex.html', errorPages: { 404: '/e.html', 403: '/no.html' } });
    const warned = lines.filter(({ level, fields }) => level === 'warn' && 'option' in fields);
    expect(warned.map(({ fields }) => fields)).toEqual([
      { option: 'errorPages 403', path: '/no.html' },
      { option: 'spa', path: '/idnex.html' },
    ]);
  });
  it('says where a relative root would be', async () => {
    await expect(start({ root: './not-there' })).rejects.toThrow(
      `at './not-there' (${join(process.cwd(), 'not-there')}), but nothing is there`,
    );
  });
  it('refuses a port that another server of the same user has', async () => {
    const first = await start();
    await expect(start({ port: first.address.port })).rejects.toMatchObject({
      code: 'ERR_SOCRYPT_PORT_IN_USE',
    });
  });

  it('fills an injected registry and empties it again', async () => {
    const registry = new Registry();
    const server = await start({ registry });
    await get({ port: server.address.port, ca });
    const text = await registry.metrics();
    expect(text).toMatch(/^socrypt_connections_accepted_total 1$/m);
    expect(text).toMatch(/^socrypt_tls_handshakes_total\{result="full"\} 1$/m);
    expect(text).toMatch(
      /^socrypt_tls_negotiated_total\{version="TLSv1.3",cipher="TLS_\w+",group="\w+",alpn="\S+"\} 1$/m,
    );
    expect(text).toMatch(
      /^socrypt_tls_certificate_not_after_timestamp_seconds\{server_name="localhost",key_type="ec"\} \d+$/m,
    );
    await server.close();
    expect(registry.getMetricsAsArray()).toEqual([]);
  });

  it('has an admin and a redirect listener', async () => {
    const server = await start({ metricsPort: 0, redirectPort: 0, processMetrics: true });
    const admin = server.adminAddress!.port;
    expect(await getPlain(admin, '/readyz')).toEqual({ status: 200, text: 'ready\n' });
    const redirect = await getPlain(server.redirectAddress!.port, '/x?y');
    expect(redirect).toMatchObject({
      status: 308,
      text: `Use https://127.0.0.1:${server.address.port}/x?y\n`,
    });
    const { text } = await getPlain(admin, '/metrics');
    expect(text).toMatch(/^socrypt_redirects_total\{code="308"\} 1$/m);
    expect(text).toMatch(/^process_resident_memory_bytes \d+$/m);
  });
});

describe('reload()', () => {
  it('takes new certificates, options and root without dropping a connection', async () => {
    const server = await start();
    const { port } = server.address;
    const agent = keepAlive();
    const before = await get({ port, ca, agent });
    const two = folder.credential('two');
    folder.write('site2/index.html', 'second');
    const report = await server.reload({
      ...base(),
      logger: undefined,
      root: join(folder.path, 'site2'),
      cert: two.cert,
      key: two.key,
      headers: { 'X-Generation': '2' } as never,
      workers: 1,
    } as ServeOptions);
    expect(report).toEqual({
      applied: expect.arrayContaining(['root', 'cert', 'key', 'headers']),
      needRestart: ['workers'],
    });
    // The old connection lives on, with the new policy; a new one gets the new certificate.
    await until(async () => (await get({ port, ca, agent })).body.toString() === 'second', 'the new root');
    const same = await get({ port, ca, agent });
    expect([same.fingerprint, same.headers['x-generation']]).toEqual([before.fingerprint, '2']);
    const fresh = await get({ port, ca: two.pem });
    expect(fresh.fingerprint).not.toBe(before.fingerprint);
    expect(server.stats().connections).toBeGreaterThanOrEqual(1);
    agent.destroy();
  });

  it('keeps everything when a part is bad, and says so', async () => {
    const registry = new Registry();
    const server = await start({ registry });
    const { port } = server.address;
    const page = await get({ port, ca });
    unlinkSync(credential.key);
    await expect(server.reload()).rejects.toMatchObject({ code: 'ERR_SOCRYPT_FILE_UNREADABLE' });
    await expect(server.reload({ ...base(), port: -1 })).rejects.toMatchObject({
      code: 'ERR_SOCRYPT_OPTION',
    });
    await expect(
      server.reload(() => {
        throw new Error('no config');
      }),
    ).rejects.toThrow('no config');
    expect(await registry.metrics()).toMatch(/^socrypt_config_last_reload_successful 0$/m);
    expect(lines.filter(({ level }) => level === 'error')).toHaveLength(3);
    expect((await get({ port, ca })).fingerprint).toBe(page.fingerprint);
    writeFileSync(credential.key, '');
    const again = folder.credential('one');
    await server.reload();
    expect((await get({ port, ca: again.pem })).fingerprint).not.toBe(page.fingerprint);
    expect(await registry.metrics()).toMatch(/^socrypt_config_last_reload_successful 1$/m);
  });

  it('holds no more descriptors after many reloads with new roots', async () => {
    const server = await start();
    folder.write('site2/index.html', 'second');
    const turn = async (i: number) => {
      const root = join(folder.path, i % 2 === 0 ? 'site2' : 'site');
      await server.reload({ ...base(), logger: undefined, root } as ServeOptions);
      await get({ port: server.address.port, ca });
    };
    for (let i = 0; i < 4; i++) await turn(i);
    const before = openFiles();
    for (let i = 0; i < 20; i++) await turn(i);
    await until(() => openFiles() <= before + 4, `about ${before} descriptors`);
  });
});

describe('the root', () => {
  it('may be replaced by a rename or a link switch', async () => {
    folder.write('releases/1/index.html', 'one');
    folder.write('releases/2/index.html', 'two');
    const link = join(folder.path, 'current');
    symlinkSync('releases/1', link);
    const server = await start({ root: link });
    const { port } = server.address;
    expect((await get({ port, ca })).body.toString()).toBe('one');
    symlinkSync('releases/2', `${link}.new`);
    renameSync(`${link}.new`, link);
    await until(async () => (await get({ port, ca })).body.toString() === 'two', 'the new release');
  });

  it('may vanish and come back', async () => {
    const server = await start({ metricsPort: 0 });
    const { port } = server.address;
    const admin = server.adminAddress!.port;
    expect((await get({ port, ca })).status).toBe(200);
    rmSync(join(folder.path, 'site'), { recursive: true });
    await until(async () => (await getPlain(admin, '/readyz')).status === 503, 'not ready');
    await until(async () => (await get({ port, ca })).status === 404, 'nothing there');
    expect(lines.filter(({ text }) => text.startsWith('the root has vanished'))).toHaveLength(1);
    folder.write('site/index.html', 'back');
    await until(async () => (await getPlain(admin, '/readyz')).status === 200, 'ready');
    await until(async () => (await get({ port, ca })).body.toString() === 'back', 'the new content');
    expect(lines.filter(({ text }) => text === 'the root is back')).toHaveLength(1);
  });
});

describe('secrets', () => {
  it('are never in what is logged', async () => {
    const { readFileSync } = await import('node:fs');
    const server = await start();
    await get({ port: server.address.port, ca });
    await server.reload();
    await server.close();
    const logged = JSON.stringify(lines);
    const body = readFileSync(credential.key, 'utf8').split('\n')[1]!;
    expect(body.length).toBeGreaterThan(30);
    expect(logged).not.toContain(body);
    expect(logged).not.toContain('PRIVATE KEY');
  });
});

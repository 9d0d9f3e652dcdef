import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type AdminListener, startAdmin } from '../../src/observe/admin.ts';

const quiet = { error() {}, warn() {}, info() {}, debug() {} };
const opened: AdminListener[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});
async function admin(notReady: () => string | null = () => null, metrics = async () => 'up 1\n') {
  const listener = await startAdmin({
    host: '127.0.0.1',
    port: 0,
    registry: { metrics, contentType: 'text/plain; version=0.0.4' },
    notReady,
    log: quiet,
  });
  opened.push(listener);
  return listener;
}
const url = (listener: AdminListener, path: string) => `http://127.0.0.1:${listener.address.port}${path}`;

/** Everything that comes back for raw bytes. */
const raw = (port: number, bytes: string): Promise<string> =>
  new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });

describe('admin listener', () => {
  it('serves metrics, health and readiness', async () => {
    let why: string | null = 'starting';
    const listener = await admin(() => why);
    const metrics = await fetch(url(listener, '/metrics?x=1'));
    expect([metrics.status, await metrics.text(), metrics.headers.get('content-type')]).toEqual([
      200,
      'up 1\n',
      'text/plain; version=0.0.4',
    ]);
    expect(await (await fetch(url(listener, '/healthz'))).text()).toBe('ok\n');
    const notYet = await fetch(url(listener, '/readyz'));
    expect([notYet.status, await notYet.text()]).toEqual([503, 'not ready: starting\n']);
    why = null;
    expect((await fetch(url(listener, '/readyz'))).status).toBe(200);
  });

  it('answers HEAD without a body, other methods with 405, other paths with 404', async () => {
    const listener = await admin();
    const head = await fetch(url(listener, '/metrics'), { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '5', '']);
    const post = await fetch(url(listener, '/metrics'), { method: 'POST', body: 'x' });
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    for (const path of ['/', '/metrics/', '/constructor', '/../metrics2']) {
      expect((await fetch(url(listener, path))).status, path).toBe(404);
    }
  });

  it('says 500 when the metrics cannot be collected, and goes on', async () => {
    let broken = true;
    const listener = await admin(
      () => null,
      async () => {
        if (broken) throw new Error('no');
        return 'up 1\n';
      },
    );
    expect((await fetch(url(listener, '/metrics'))).status).toBe(500);
    broken = false;
    expect((await fetch(url(listener, '/metrics'))).status).toBe(200);
  });

  it('bounds what a client sends', async () => {
    const { address } = await admin();
    expect(await raw(address.port, `GET /metrics HTTP/1.1\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431/,
    );
    expect(await raw(address.port, '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 400/,
    );
  });

  it('says which port is in use', async () => {
    const { address } = await admin();
    await expect(
      startAdmin({
        host: '127.0.0.1',
        port: address.port,
        registry: { metrics: async () => '', contentType: '' },
        notReady: () => null,
        log: quiet,
      }),
    ).rejects.toMatchObject({
      code: 'ERR_SOCRYPT_PORT_IN_USE',
      message: expect.stringMatching(
        new RegExp(
          `Expected to listen on 127\\.0\\.0\\.1:${address.port} for the admin listener, but another process`,
        ),
      ),
    });
  });
});

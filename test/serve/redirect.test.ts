import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostOf, type RedirectListener, startRedirect } from '../../src/serve/redirect.ts';

let listener: RedirectListener;
let standard: RedirectListener;
beforeAll(async () => {
  listener = await startRedirect({ host: '127.0.0.1', port: 0, httpsPort: () => 8443 });
  standard = await startRedirect({ host: '127.0.0.1', port: 0, httpsPort: () => 443 });
});
afterAll(async () => {
  await listener.close();
  await standard.close();
});

function ask(
  request: string,
  to = listener,
): Promise<{ status: number; location: string | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(to.address.port, '127.0.0.1', () => socket.write(request, 'latin1'));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', reject);
    socket.on('close', () =>
      resolve({
        status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]),
        location: /^location: (.*)\r$/im.exec(text)?.[1],
        text,
      }),
    );
  });
}
const get = (target: string, host: string | null = 'example.com', version = '1.1') =>
  ask(`GET ${target} HTTP/${version}\r\n${host === null ? '' : `Host: ${host}\r\n`}\r\n`);

describe('redirect to HTTPS', () => {
  it('keeps host, path and query', async () => {
    const answer = await get('/a/b%20c?q=1&r=%2F', 'example.com');
    expect([answer.status, answer.location]).toEqual([308, 'https://example.com:8443/a/b%20c?q=1&r=%2F']);
    expect((await get('/', 'Example.COM:80')).location).toBe('https://Example.COM:8443/');
    expect((await get('/', '[::1]:8080')).location).toBe('https://[::1]:8443/');
    expect((await get('/', '192.0.2.1')).location).toBe('https://192.0.2.1:8443/');
  });

  it('leaves the standard port out', async () => {
    const answer = await ask('GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n', standard);
    expect(answer.location).toBe('https://a.example/x');
  });

  it('answers HTTP/1.0 without Host with the address that was used', async () => {
    expect((await get('/x', null, '1.0')).location).toBe('https://127.0.0.1:8443/x');
    expect((await get('/x', null, '1.1')).status).toBe(400);
    expect((await get('/x', '', '1.1')).location).toBe('https://127.0.0.1:8443/x');
  });

  it('takes the authority of an absolute target', async () => {
    expect((await get('http://a.example:80/p?q', 'b.example')).location).toBe('https://a.example:8443/p?q');
    expect((await get('http://a.example?q')).location).toBe('https://a.example:8443/?q');
  });

  it('stays on the host, whatever the path', async () => {
    for (const target of [
      '//evil.example/',
      '/\\evil.example',
      '/@evil.example',
      '/.evil.example',
      '/%0d%0aX:1',
    ]) {
      const { status, location } = await get(target);
      expect(status, target).toBe(308);
      expect(new URL(location!).host, target).toBe('example.com:8443');
    }
  });

  it('refuses a Host that is none', async () => {
    const bad = [
      'evil.example/x',
      'a@evil.example',
      'a b',
      'a"b',
      'a,b',
      '[::1',
      '::1',
      '[fe80::1%eth0]',
      '1.2',
      '0x7f.1',
      '256.1.1.1',
      '-a.example',
      'a..b',
      'a:b',
      'a:123456',
      'a:80:80',
      `${'a'.repeat(64)}.example`,
      'é.example',
      '#',
      '?',
      '\\',
    ];
    for (const host of bad) {
      expect(hostOf(host), host).toBeNull();
      expect((await get('/', host)).status, host).toBe(400);
    }
    expect((await ask('GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n')).status).toBe(400);
    expect((await get('http://a@b.example/')).status).toBe(400);
    expect((await ask('OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n')).status).toBe(400);
  });

  it('escapes what does not belong into a URL', async () => {
    const { location } = await get('/"<>');
    expect(location).toBe('https://example.com:8443/%22%3C%3E');
    expect((await get('/\xe9')).status).toBe(400);
  });

  it('redirects every method, HEAD without a body, and closes', async () => {
    const post = await ask('POST /form HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc');
    expect([post.status, post.location]).toEqual([308, 'https://a.example:8443/form']);
    const head = await ask('HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    expect(head.text.endsWith('\r\n\r\n')).toBe(true);
    expect(head.text).toMatch(/^connection: close\r$/im);
  });

  it('answers 503 until HTTPS is up', async () => {
    const early = await startRedirect({ host: '127.0.0.1', port: 0, httpsPort: () => null });
    expect((await ask('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n', early)).status).toBe(503);
    await early.close();
  });

  it('counts what it answers', async () => {
    const before = listener.counts().get(308)!;
    await get('/');
    expect(listener.counts().get(308)).toBe(before + 1);
  });
});

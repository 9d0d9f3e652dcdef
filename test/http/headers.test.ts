import { utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { prefersJson, quality } from '../../src/http/accept.ts';
import { compileGlob } from '../../src/http/glob.ts';
import { contentType } from '../../src/http/mime.ts';
import { type HttpOptions, resolveHttpOptions } from '../../src/http/options.ts';
import { MTIME, type Site, site } from './tree.ts';

async function withSite(
  tree: Parameters<typeof site>[0],
  options: HttpOptions,
  use: (there: Site) => Promise<void>,
) {
  const there = site(tree, options);
  try {
    await use(there);
    expect(there.errors).toEqual([]);
  } finally {
    there.close();
  }
}

describe('media types', () => {
  const cases: [name: string, type: string][] = [
    ['index.html', 'text/html; charset=utf-8'],
    ['a.HTML', 'text/html; charset=utf-8'],
    ['a.css', 'text/css; charset=utf-8'],
    ['a.js', 'text/javascript; charset=utf-8'],
    ['a.mjs', 'text/javascript; charset=utf-8'],
    ['a.json', 'application/json; charset=utf-8'],
    ['a.js.map', 'application/json; charset=utf-8'],
    ['a.svg', 'image/svg+xml; charset=utf-8'],
    ['a.xml', 'text/xml; charset=utf-8'],
    ['a.webmanifest', 'application/manifest+json; charset=utf-8'],
    ['feed.atom', 'application/atom+xml; charset=utf-8'],
    ['a.md', 'text/markdown; charset=utf-8'],
    ['a.txt', 'text/plain; charset=utf-8'],
    ['a.wasm', 'application/wasm'],
    ['a.avif', 'image/avif'],
    ['a.webp', 'image/webp'],
    ['favicon.ico', 'image/x-icon'],
    ['a.woff2', 'font/woff2'],
    ['a.mp4', 'video/mp4'],
    ['a.m3u8', 'application/vnd.apple.mpegurl'],
    ['a.ts', 'video/mp2t'],
    ['a.pdf', 'application/pdf'],
    ['a.tar.gz', 'application/gzip'],
    ['a.zst', 'application/zstd'],
    ['LICENSE', 'application/octet-stream'],
    ['.profile', 'application/octet-stream'],
    ['a.constructor', 'application/octet-stream'],
    ['a.__proto__', 'application/octet-stream'],
    ['.well-known/apple-app-site-association', 'application/json; charset=utf-8'],
  ];
  const defaults = resolveHttpOptions();
  it.each(cases)('%s: %s', (name, type) => expect(contentType(name, defaults)).toBe(type));

  it('takes the operator at their word', () => {
    const options = resolveHttpOptions({
      mimeTypes: { HTML: 'text/x-mine', q: 'text/plain; charset=latin1' },
      charset: 'utf-16',
    });
    expect(contentType('a.html', options)).toBe('text/x-mine; charset=utf-16');
    expect(contentType('a.q', options)).toBe('text/plain; charset=latin1');
    expect(contentType('a.css', resolveHttpOptions({ charset: false }))).toBe('text/css');
  });
});

describe('representations', () => {
  it('sends neighbours that are not older, each with a tag of its own, and says Vary', () =>
    withSite(
      { 'a.js': 'plain', 'a.js.br': 'brotli', 'a.js.gz': 'gzip', 'a.js.zst': 'zstd', 'b.js': 'b' },
      {},
      async (there) => {
        utimesSync(join(there.directory, 'a.js.gz'), MTIME - 1, MTIME - 1);
        const answer = await there.get('/a.js');
        expect(Object.keys(answer.variants)).toEqual(['identity', 'br', 'zstd']);
        expect(answer.variants.br).toMatchObject({ text: 'brotli', lastModified: MTIME });
        const tags = Object.values(answer.variants).map(({ etag }) => etag);
        expect(new Set(tags).size).toBe(3);
        for (const tag of tags) expect(tag).toMatch(/^"[!#-~]+"$/);
        for (const [coding, { headers, notModified }] of Object.entries(answer.variants)) {
          expect(headers).toContain('Vary: Accept-Encoding\r\n');
          expect(headers).toContain('Content-Type: text/javascript; charset=utf-8\r\n');
          expect(headers.includes(`Content-Encoding: ${coding}\r\n`)).toBe(coding !== 'identity');
          expect(notModified).toContain('Vary: Accept-Encoding\r\n');
          expect(notModified).toContain('Cache-Control: no-cache\r\n');
          expect(notModified).not.toMatch(/^Content-/m);
        }
        // The stale neighbour and the absent ones are facts too.
        expect(answer.dependencies.map(({ path, identity }) => [path, identity !== null])).toEqual([
          ['a.js', true],
          ['a.js.br', true],
          ['a.js.zst', true],
          ['a.js.gz', true],
        ]);
        const alone = await there.get('/b.js');
        expect(alone.field('Vary')).toBeUndefined();
        expect(
          alone.dependencies.filter(({ identity }) => identity === null).map(({ path }) => path),
        ).toEqual(['b.js.br', 'b.js.zst', 'b.js.gz']);
      },
    ));

  it('looks for the codings asked for only, and never for a coding of a coded file', () =>
    withSite(
      { 'a.js': '', 'a.js.br': '', 'a.js.gz': '', 'a.js.gz.br': '' },
      { precompressed: ['gzip'] },
      async (there) => {
        expect(Object.keys((await there.get('/a.js')).variants)).toEqual(['identity', 'gzip']);
        expect(Object.keys((await there.get('/a.js.gz')).variants)).toEqual(['identity']);
        expect((await there.get('/a.js.gz')).field('Content-Encoding')).toBeUndefined();
      },
    ));

  it('has no Last-Modified from a time that says nothing, and none from the future', () =>
    withSite({ a: '1', b: '2', c: '3' }, {}, async (there) => {
      utimesSync(join(there.directory, 'a'), 0, 0);
      utimesSync(join(there.directory, 'b'), 1, 1);
      const future = Math.floor(Date.now() / 1000) + 3600;
      utimesSync(join(there.directory, 'c'), future, future);
      for (const name of ['a', 'b', 'c']) {
        const { identity } = (await there.get(`/${name}`)).variants;
        expect(identity!.lastModified).toBe(-1);
        expect(identity!.etag).toMatch(/^"[!#-~]{5,}"$/);
      }
      const before = (await there.get('/a')).variants.identity!.etag;
      utimesSync(join(there.directory, 'a'), 1, 0);
      expect((await there.get('/a')).variants.identity!.etag).not.toBe(before);
    }));
});

describe('Cache-Control', () => {
  const tree = {
    'index.html': '',
    'style.css': '',
    'app.3f2a9c1b.js': '',
    'app-3f2a9c1b00112233.css': '',
    'report.20240101.pdf': '',
    'deadbeef.js': '',
    'a.deadbeef.js': '',
    'page.3f2a9c1b.html': '',
  };
  const year = 'public, max-age=31536000, immutable';
  const cases: [option: HttpOptions['cacheControl'], path: string, value: string | undefined][] = [
    ['default', '/', 'no-cache'],
    ['default', '/style.css', 'no-cache'],
    ['default', '/app.3f2a9c1b.js', year],
    ['default', '/app-3f2a9c1b00112233.css', year],
    ['default', '/report.20240101.pdf', 'no-cache'],
    ['default', '/deadbeef.js', 'no-cache'],
    ['default', '/a.deadbeef.js', 'no-cache'],
    ['default', '/page.3f2a9c1b.html', 'no-cache'],
    ['default', '/none', 'no-cache'],
    ['revalidate', '/app.3f2a9c1b.js', 'no-cache'],
    ['immutable', '/style.css', year],
    ['immutable', '/', 'no-cache'],
    ['no-store', '/', 'no-store'],
    ['off', '/', undefined],
    ['off', '/none', undefined],
    [
      [
        { match: '*.css', value: 'max-age=60' },
        { match: '/**', value: 'private' },
      ],
      '/style.css',
      'max-age=60',
    ],
    [
      [
        { match: '*.css', value: 'max-age=60' },
        { match: '/**', value: 'private' },
      ],
      '/',
      'private',
    ],
    [[{ match: '*.css', value: 'max-age=60' }], '/', undefined],
  ];
  it.each(cases)('%j %s: %s', (cacheControl, path, value) =>
    withSite(tree, { cacheControl: cacheControl! }, async (there) => {
      expect((await there.get(path)).field('Cache-Control')).toBe(value);
    }),
  );
});

describe('headers', () => {
  it('come on matching paths, in place of ours, the last rule first', () =>
    withSite(
      { 'index.html': '', 'assets/a.css': '' },
      {
        headers: [
          { match: '**', name: 'Strict-Transport-Security', value: 'max-age=1' },
          { match: '/assets/**', name: 'cache-control', value: 'max-age=5' },
          { match: '*.html', name: 'X-Both', value: 'first' },
          { match: '/index.html', name: 'X-Both', value: 'second' },
          { match: '*.css', name: 'Vary', value: 'Cookie' },
        ],
        cors: ['https://a.example'],
      },
      async (there) => {
        const home = await there.get('/');
        expect(home.headers.match(/^X-Both: .*$/gm)).toEqual(['X-Both: second']);
        const css = await there.get('/assets/a.css');
        expect(css.headers.match(/^cache-control: .*$/gim)).toEqual(['cache-control: max-age=5']);
        expect(css.field('Vary')).toBe('Cookie, Origin');
        expect(css.variants.identity!.notModified).toContain('Strict-Transport-Security: max-age=1\r\n');
        for (const path of ['/none', '/assets', '/..']) {
          expect((await there.get(path)).field('Strict-Transport-Security')).toBe('max-age=1');
        }
        expect(there.handler.errorPage(400).headers).toContain('Strict-Transport-Security: max-age=1\r\n');
      },
    ));

  it('say nosniff unless told not to', async () => {
    await withSite({ a: '' }, {}, async (there) => {
      for (const path of ['/a', '/none'])
        expect((await there.get(path)).field('X-Content-Type-Options')).toBe('nosniff');
    });
    await withSite({ a: '' }, { nosniff: false }, async (there) => {
      expect((await there.get('/a')).field('X-Content-Type-Options')).toBeUndefined();
    });
  });

  it('keep a 308 from being kept for good', () =>
    withSite({ 'd/x': '' }, {}, async (there) => {
      expect((await there.get('/d')).field('Cache-Control')).toBe('no-cache');
    }));
});

describe('cross-origin reads', () => {
  const preflight = {
    'access-control-request-method': 'GET',
    'access-control-request-headers': 'range, x-a',
  };

  it("'*' lets everybody read", () =>
    withSite({ a: '' }, { cors: '*' }, async (there) => {
      expect(there.handler.keyByOrigin).toBe(false);
      for (const path of ['/a', '/none']) {
        const answer = await there.get(path, { origin: 'https://x.example' });
        expect(answer.field('Access-Control-Allow-Origin')).toBe('*');
        expect(answer.field('Vary')).toBeUndefined();
      }
      const answer = await there.get('/a', { origin: 'https://x.example', ...preflight }, 'OPTIONS');
      expect(answer.status).toBe(204);
      expect(answer.field('Access-Control-Allow-Methods')).toBe('GET, HEAD, OPTIONS');
      expect(answer.field('Access-Control-Allow-Headers')).toBe('range, x-a');
    }));

  it('a list lets its origins read, and says Vary to all', () =>
    withSite({ a: '' }, { cors: ['https://a.example', 'http://localhost:3000'] }, async (there) => {
      expect(there.handler.keyByOrigin).toBe(true);
      for (const [origin, allowed] of [
        ['https://a.example', true],
        ['http://localhost:3000', true],
        ['https://b.example', false],
        ['https://a.example.evil', false],
        ['HTTPS://A.EXAMPLE', false],
        ['null', false],
        [undefined, false],
      ] as const) {
        const answer = await there.get('/a', origin === undefined ? {} : { origin });
        expect(answer.field('Access-Control-Allow-Origin')).toBe(allowed ? origin : undefined);
        expect(answer.field('Vary')).toBe('Origin');
        expect(answer.variants.identity!.notModified.includes('Access-Control-Allow-Origin')).toBe(allowed);
      }
      const refused = await there.get('/a', { origin: 'https://b.example', ...preflight }, 'OPTIONS');
      expect(refused.status).toBe(204);
      expect(refused.headers).not.toMatch(/^Access-Control/m);
      const injected = {
        origin: 'https://a.example',
        ...preflight,
        'access-control-request-headers': 'x\r\nSet-Cookie: a',
      };
      expect((await there.get('/a', injected, 'OPTIONS')).headers).not.toContain('Set-Cookie');
    }));
});

describe('Accept', () => {
  it.each([
    [undefined, false],
    ['*/*', false],
    ['text/html,application/xhtml+xml,*/*;q=0.8', false],
    ['application/json', true],
    ['application/json, text/html;q=0.9', true],
    ['text/html, application/json', false],
    ['application/json;q=0', false],
    ['APPLICATION/JSON ; Q=0.5', true],
    ['application/json;q=2', false],
  ])('%j prefers JSON: %j', (accept, json) => expect(prefersJson(accept)).toBe(json));

  it('gives the quality of the most specific range', () => {
    expect(quality('text/*;q=0.3, text/html;q=0.7, */*;q=0.1', 'text/html')).toBe(0.7);
    expect(quality('text/*;q=0.3, */*;q=0.1', 'text/html')).toBe(0.3);
    expect(quality('image/png', 'text/html')).toBe(0);
    expect(quality('*/*', 'text/html', true)).toBe(0);
  });
});

describe('globs', () => {
  it.each([
    ['*.html', '/a/b.html', true],
    ['*.html', '/a/b.htm', false],
    ['/assets/**', '/assets/a/b.js', true],
    ['assets/*', '/assets/a/b.js', false],
    ['/a/**/b', '/a/b', true],
    ['/a/**/b', '/a/x/y/b', true],
    ['/a/**/b', '/a/xb', false],
    ['*.{js,css}', '/x.css', true],
    ['*.{js,css}', '/x.xml', false],
    ['/?.txt', '/a.txt', true],
    ['/?.txt', '//.txt', false],
    ['/a+(b)', '/a+(b)', true],
    ['/\\*', '/*', true],
    ['/\\*', '/a', false],
    ['**', '/anything/at/all', true],
    ['/', '/', true],
    ['/**', '/', true],
  ])('%s on %s: %j', (glob, path, matches) => expect(compileGlob(glob)(path)).toBe(matches));
});

describe('options', () => {
  const wrong: [string, unknown][] = [
    ['unknown', true],
    ['listing', 'yes'],
    ['index', 'index.html'],
    ['index', ['a/b']],
    ['index', ['..']],
    ['trailingSlash', 'maybe'],
    ['precompressed', ['deflate']],
    ['cacheControl', 'forever'],
    ['cacheControl', [{ match: '**', value: 'a\r\nSet-Cookie: b' }]],
    ['headers', [{ match: '**', name: 'X-A', value: 'a\nb' }]],
    ['headers', [{ match: '**', name: 'X-A', value: 'a\0b' }]],
    ['headers', [{ match: '**', name: 'X-A', value: ' padded' }]],
    ['headers', [{ match: '**', name: 'X A', value: 'b' }]],
    ['headers', [{ match: '**', name: 'X-A:', value: 'b' }]],
    ['headers', [{ match: '**', name: 'X-A\r\nX-B', value: 'b' }]],
    ['headers', [{ match: '**', name: '', value: 'b' }]],
    ['headers', [{ match: '**', name: 'Content-Length', value: '0' }]],
    ['headers', [{ match: '**', name: 'transfer-encoding', value: 'chunked' }]],
    ['headers', [{ match: '{a', name: 'X-A', value: 'b' }]],
    ['headers', [null]],
    ['cors', 'https://a.example'],
    ['cors', ['https://a.example/']],
    ['cors', ['a.example']],
    ['cors', ['*']],
    ['cors', ['https://a.example\r\nX: y']],
    ['spa', true],
    ['spa', '../x'],
    ['errorPages', { 200: 'a.html' }],
    ['errorPages', { 404: '../a.html' }],
    ['errorPages', { 404: '' }],
    ['charset', 'utf-8\r\nX: y'],
    ['mimeTypes', { 'a.b': 'text/plain' }],
    ['mimeTypes', { a: 'text' }],
    ['mimeTypes', { a: 'text/plain\r\nX: y' }],
  ];
  it.each(wrong)('refuses %s: %j', (name, value) => {
    expect(() => resolveHttpOptions({ [name]: value })).toThrow(
      expect.objectContaining({
        code: 'ERR_SOCRYPT_HTTP_OPTION',
        message: expect.stringMatching(/Expected .+ got |Unknown option/),
      }),
    );
  });
});

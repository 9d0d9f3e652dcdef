import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodePath, isHidden, parsePath } from '../../src/http/path.ts';
import { type Site, site } from './tree.ts';

describe('parsePath', () => {
  const cases: [path: string, name: string | 400 | 404, slash?: boolean][] = [
    ['/', '', true],
    ['', '', true],
    ['/a', 'a', false],
    ['/a/', 'a', true],
    ['/a/b.txt', 'a/b.txt', false],
    ['/a%20b', 'a b', false],
    ['/caf%C3%A9.txt', 'café.txt', false],
    ['/%F0%9F%98%80', '😀', false],
    ['/a%2520b', 'a%20b', false],
    ['/a\\b', 'a\\b', false],
    ['/a%5Cb', 'a\\b', false],
    ['/a+b', 'a+b', false],
    ['/a?', 'a?', false],
    ['/a%3Fb', 'a?b', false],
    ['/a%23b', 'a#b', false],
    ['/a%0Ab', 'a\nb', false],
    // dot segments, plain and encoded
    ['/./a', 'a', false],
    ['/a/.', 'a', true],
    ['/a/..', '', true],
    ['/a/../b', 'b', false],
    ['/a/b/..', 'a', true],
    ['/a/%2e%2E/b', 'b', false],
    ['/a/.%2e/b', 'b', false],
    ['/%2e/a', 'a', false],
    ['/..', 400],
    ['/../a', 400],
    ['/%2e%2e/a', 400],
    ['/a/../../b', 400],
    ['/%252e%252e/a', '%2e%2e/a', false],
    ['/...', '...', false],
    ['/..a', '..a', false],
    // slashes
    ['//a', 'a', false],
    ['/a//b', 'a/b', false],
    ['/a//', 'a', true],
    ['//', '', true],
    ['/a%2Fb', 404],
    ['/a%2fb', 404],
    ['/a/..%2fb', 404],
    ['/..%2f..%2fetc/passwd', 400],
    // what is no path
    ['a', 400],
    ['*', 400],
    ['/a%', 400],
    ['/a%4', 400],
    ['/a%zz', 400],
    ['/a%00', 400],
    ['/a%00.txt', 400],
    ['/a b', 400],
    ['/caf\u00e9', 400],
    ['/a\x7f', 400],
    // not UTF-8: Latin-1, overlong, surrogate, beyond U+10FFFF
    ['/caf%E9', 404],
    ['/%C0%AF', 404],
    ['/%C0%AE%C0%AE/a', 404],
    ['/%ED%A0%80', 404],
    ['/%F4%90%80%80', 404],
  ];
  it.each(cases)('%j', (path, expected, slash) => {
    const parsed = parsePath(path);
    if (typeof expected === 'number') expect(parsed).toEqual({ kind: 'refused', status: expected });
    else expect(parsed).toEqual({ kind: 'path', name: expected, slash });
  });

  it('never gives a name that leaves the root, and encodePath() is its inverse', () => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
    let state = seed;
    const next = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const pieces = [
      '/',
      '/',
      '.',
      '..',
      '%2e',
      '%2E',
      '%2f',
      'a',
      'evil.com',
      '\\',
      '%5c',
      ':',
      '%0a',
      '%c3%a9',
      '%25',
      '?',
      '#',
      '@',
    ];
    for (let i = 0; i < 20_000; i++) {
      const path = `/${Array.from({ length: next(8) }, () => pieces[next(pieces.length)]).join('')}`;
      const parsed = parsePath(path);
      if (parsed.kind === 'refused') continue;
      const segments = parsed.name.split('/');
      expect(
        parsed.name === '' || segments.every((s) => s !== '' && s !== '.' && s !== '..'),
        `seed ${seed}: ${path}`,
      ).toBe(true);
      const encoded = encodePath(parsed.name, parsed.slash);
      expect(encoded, `seed ${seed}: ${path}`).toMatch(
        /^\/(?:[A-Za-z0-9._~!'()*%-][A-Za-z0-9._~!'()*%/-]*)?$/,
      );
      expect(parsePath(encoded), `seed ${seed}: ${path}`).toEqual(parsed);
    }
  });
});

describe('isHidden', () => {
  it.each([
    ['.env', true],
    ['a/.git/config', true],
    ['.well-known/acme-challenge/x', false],
    ['.well-known', false],
    ['.well-known/.env', true],
    ['a/.well-known/x', true],
    ['.well-knownx', true],
    ['a.b/c', false],
  ])('%s', (name, hidden) => expect(isHidden(name)).toBe(hidden));
});

describe('a path below the root', () => {
  let plain: Site;
  const name255 = 'n'.repeat(255);
  beforeAll(() => {
    plain = site({
      'index.html': '<h1>home</h1>',
      'a.txt': 'a',
      'dir/index.html': 'dir index',
      'dir/b.txt': 'b',
      'bare/c.txt': 'c',
      'evil.com/index.html': 'x',
      'a:b/index.html': 'x',
      'new\nline/index.html': 'x',
      'back\\slash.txt': 'backslash',
      'café.txt': 'coffee',
      '100%.txt': 'percent',
      'q?x#y.txt': 'odd',
      '.env': 'secret',
      '.well-known/token': 'token',
      'nested/.git/config': 'secret',
      'weird/index.html/x': 'a directory by that name',
      [name255]: 'longest',
      'out.txt': '-> /etc/passwd',
      'up.txt': '-> ../../../../etc/passwd',
      etc: '-> /etc',
      'in.txt': '-> dir/b.txt',
      loop: '-> loop',
      linked: '-> dir',
    });
  });
  afterAll(() => plain.close());

  const cases: [target: string, status: number, rest?: { text?: string; location?: string }][] = [
    ['/', 200, { text: '<h1>home</h1>' }],
    ['/index.html', 200, { text: '<h1>home</h1>' }],
    ['/a.txt', 200, { text: 'a' }],
    ['/a.txt?q', 200, { text: 'a' }],
    ['//a.txt', 200, { text: 'a' }],
    ['/dir/../a.txt', 200, { text: 'a' }],
    ['/a.txt/', 404],
    ['/a.txt/b', 404],
    ['/none', 404],
    ['/none/none', 404],
    ['/dir', 308, { location: '/dir/' }],
    ['/dir/', 200, { text: 'dir index' }],
    ['/dir/.', 200, { text: 'dir index' }],
    ['/dir//b.txt', 200, { text: 'b' }],
    ['/bare', 308, { location: '/bare/' }],
    ['/bare/', 404],
    ['/weird/', 404],
    ['//evil.com', 308, { location: '/evil.com/' }],
    ['///evil.com', 308, { location: '/evil.com/' }],
    ['/.//evil.com', 308, { location: '/evil.com/' }],
    ['/dir/..//evil.com', 308, { location: '/evil.com/' }],
    ['/%5Cevil.com', 404],
    ['/a:b', 308, { location: '/a%3Ab/' }],
    ['/new%0Aline', 308, { location: '/new%0Aline/' }],
    ['/back%5Cslash.txt', 200, { text: 'backslash' }],
    ['/caf%C3%A9.txt', 200, { text: 'coffee' }],
    ['/100%25.txt', 200, { text: 'percent' }],
    ['/q%3Fx%23y.txt', 200, { text: 'odd' }],
    ['/.env', 404],
    ['/%2eenv', 404],
    ['/nested/.git/config', 404],
    ['/.well-known/token', 200, { text: 'token' }],
    [`/${name255}`, 200, { text: 'longest' }],
    [`/${name255}n`, 404],
    [`/${'x/'.repeat(3000)}y`, 404],
    ['/out.txt', 404],
    ['/up.txt', 404],
    ['/etc/passwd', 404],
    ['/etc/', 404],
    ['/loop', 404],
    ['/in.txt', 200, { text: 'b' }],
    ['/linked', 308, { location: '/linked/' }],
    ['/linked/b.txt', 200, { text: 'b' }],
    ['/..', 400],
    ['/a%00', 400],
    ['/%', 400],
  ];
  it.each(cases)('GET %j -> %i', async (target, status, rest = {}) => {
    const answer = await plain.get(target);
    expect(answer.status).toBe(status);
    if (rest.text !== undefined) expect(answer.text).toBe(rest.text);
    expect(answer.location).toBe(rest.location);
    expect(answer.cacheable).toBe(true);
    expect(answer.text).not.toContain(plain.directory);
    const lines = answer.headers.split('\r\n');
    expect(lines.pop()).toBe('');
    for (const line of lines) expect(line).toMatch(/^[A-Za-z-]+: [!-~](?:[ -~]*[!-~])?$/);
  });

  it('keeps the query of a redirect, with Location as the last line', async () => {
    const resolution = await plain.handler.resolve({
      method: 'GET',
      target: '/dir?a=1',
      path: '/dir',
      query: '?a=1',
      headers: new Map(),
    });
    expect(resolution).toMatchObject({ kind: 'fixed', appendQuery: true });
    expect((resolution as { headers: string }).headers).toMatch(/Location: \/dir\/\r\n$/);
  });

  it('answers HEAD as GET, and other methods with 204 or 405', async () => {
    expect(await plain.get('/a.txt', {}, 'HEAD')).toMatchObject({ kind: 'file', status: 200 });
    for (const method of ['POST', 'PUT', 'DELETE', 'TRACE', 'PATCH', 'get', 'PROPFIND']) {
      const answer = await plain.get('/a.txt', {}, method);
      expect(answer).toMatchObject({ status: 405, cacheable: false });
      expect(answer.field('Allow')).toBe('GET, HEAD, OPTIONS');
    }
    for (const target of ['/a.txt', '*', '/none']) {
      const answer = await plain.get(target, {}, 'OPTIONS');
      expect(answer).toMatchObject({ status: 204, text: '', cacheable: false });
      expect(answer.field('Allow')).toBe('GET, HEAD, OPTIONS');
    }
  });
});

describe('policies', () => {
  async function check(
    options: Parameters<typeof site>[1],
    tree: Parameters<typeof site>[0],
    cases: [string, number, string?][],
  ) {
    const there = site(tree, options);
    try {
      for (const [target, status, rest] of cases) {
        const answer = await there.get(target);
        expect([
          target,
          answer.status,
          answer.location ?? (answer.status === 200 ? answer.text : undefined),
        ]).toEqual([target, status, rest]);
      }
      expect(there.errors).toEqual([]);
    } finally {
      there.close();
    }
  }

  it('trailingSlash: remove', () =>
    check({ trailingSlash: 'remove' }, { 'index.html': 'i', 'd/index.html': 'di', 'f.txt': 'f', 'n/x': '' }, [
      ['/', 200, 'i'],
      ['/d/', 308, '/d'],
      ['/d', 200, 'di'],
      ['//d/', 308, '/d'],
      ['/f.txt/', 404],
      ['/n', 404],
    ]));

  it('trailingSlash: ignore', () =>
    check({ trailingSlash: 'ignore' }, { 'd/index.html': 'di' }, [
      ['/d/', 200, 'di'],
      ['/d', 200, 'di'],
    ]));

  it('several index names, in order', () =>
    check(
      { index: ['index.htm', 'index.html'] },
      { 'a/index.html': '1', 'b/index.htm': '2', 'b/index.html': '3' },
      [
        ['/a/', 200, '1'],
        ['/b/', 200, '2'],
      ],
    ));

  it('cleanUrls', () =>
    check(
      { cleanUrls: true },
      {
        'index.html': 'i',
        'about.html': 'about',
        'both.html': 'both',
        'both/index.html': 'both dir',
        'shadow.html': 'shadow page',
        shadow: 'shadow file',
        'd/index.html': 'di',
        'd/e.html': 'e',
        'x.html.html': 'xx',
        'bare/y': '',
        'bare.html': 'bare page',
      },
      [
        ['/about', 200, 'about'],
        ['/about.html', 308, '/about'],
        ['/about/', 308, '/about'],
        ['/both', 200, 'both'],
        ['/both/', 200, 'both dir'],
        ['/both.html', 308, '/both'],
        ['/shadow', 200, 'shadow file'],
        ['/shadow.html', 200, 'shadow page'],
        ['/index.html', 308, '/'],
        ['/d/index.html', 308, '/d/'],
        ['/d/e', 200, 'e'],
        ['/d/e.html', 308, '/d/e'],
        ['/x.html.html', 308, '/x.html'],
        ['/x.html', 200, 'xx'],
        ['/bare/', 308, '/bare'],
        ['/bare', 200, 'bare page'],
        ['/none', 404],
        ['/none.html', 404],
      ],
    ));

  it('cleanUrls without trailing slashes never redirects in a circle', async () => {
    for (const trailingSlash of ['add', 'remove', 'ignore'] as const) {
      for (const dotfiles of ['deny', 'allow'] as const) {
        const there = site(
          {
            'a.html': '',
            'a/index.html': '',
            'a/index.htm': '',
            'b/index.html': '',
            'c.html/x': '',
            '.html': '',
            '...html': '',
            'd/.html': '',
          },
          { cleanUrls: true, trailingSlash, dotfiles, index: ['index.htm', 'index.html'] },
        );
        for (const start of [
          '/a',
          '/a/',
          '/a.html',
          '/a/index.html',
          '/a/index.htm',
          '/b',
          '/b/index.html',
          '/c.html',
          '/c',
          '/.html',
          '/...html',
          '/d/.html',
        ]) {
          const seen = [start];
          for (let at: string | undefined = start; at !== undefined; ) {
            const answer = await there.get(at);
            at = answer.location;
            if (at === undefined) break;
            expect(answer.status).toBe(308);
            expect(seen, `${trailingSlash} ${dotfiles}`).not.toContain(at);
            seen.push(at);
          }
        }
        there.close();
      }
    }
  });

  it('dotfiles: allow', () =>
    check({ dotfiles: 'allow' }, { '.env': 'e', '.d/x': 'x' }, [
      ['/.env', 200, 'e'],
      ['/.d/x', 200, 'x'],
    ]));

  it('symlinks: deny', () =>
    check(
      { symlinks: 'deny' },
      { 'a.txt': 'a', 'l.txt': '-> a.txt', 'd/x': 'x', ld: '-> d', 'a.txt.br': '-> d/x' },
      [
        ['/a.txt', 200, 'a'],
        ['/l.txt', 404],
        ['/ld/x', 404],
        ['/ld', 404],
        ['/d/x', 200, 'x'],
      ],
    ));

  it('spa', async () => {
    const there = site({ 'index.html': 'app', 'app.js': 'js' }, { spa: 'index.html' });
    const html = { accept: 'text/html,*/*;q=0.8' };
    expect(await there.get('/users/7')).toMatchObject({ status: 200, text: 'app', cacheable: true });
    expect(await there.get('/users/7/')).toMatchObject({ status: 200, text: 'app' });
    expect(await there.get('/users/j.doe', html)).toMatchObject({
      status: 200,
      text: 'app',
      cacheable: false,
    });
    expect(await there.get('/missing.js', { accept: '*/*' })).toMatchObject({
      status: 404,
      cacheable: false,
    });
    expect((await there.get('/missing.js', { accept: '*/*' })).field('Vary')).toBe('Accept');
    expect(await there.get('/app.js')).toMatchObject({ status: 200, text: 'js' });
    expect(await there.get('/.env', html)).toMatchObject({ status: 404 });
    expect((await there.get('/users/7')).field('Cache-Control')).toBe('no-cache');
    there.close();
  });

  it('error pages: 404.html by itself, others by option', async () => {
    const there = site(
      { '404.html': 'my 404', 'e/405.txt': 'my 405' },
      { errorPages: { '405': '/e/405.txt' } },
    );
    const missing = await there.get('/none');
    expect(missing).toMatchObject({ kind: 'fixed', status: 404, text: 'my 404', cacheable: true });
    expect(missing.field('Content-Security-Policy')).toBeUndefined();
    const post = await there.get('/', {}, 'POST');
    expect(post).toMatchObject({ status: 405, text: 'my 405' });
    expect(post.field('Content-Type')).toBe('text/plain; charset=utf-8');
    await there.handler.prepare();
    expect(Buffer.from(there.handler.errorPage(405).body).toString()).toBe('my 405');
    expect(Buffer.from(there.handler.errorPage(431).body).toString()).toContain(
      '431 Request Header Fields Too Large',
    );
    there.close();
  });
});

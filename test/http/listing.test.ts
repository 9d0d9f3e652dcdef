import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatSize, MAX_LISTED, sortEntries } from '../../src/http/listing.ts';
import { escapeHtml, PAGE_POLICY, page, statusPage } from '../../src/http/pages.ts';
import { site } from './tree.ts';

const json = { accept: 'application/json' };

/** Every href of a page, resolved as a browser does. */
function links(html: string, address: string): string[] {
  return [...html.matchAll(/href="([^"]*)"/g)].map(
    ([, href]) =>
      new URL(href!.replaceAll('&amp;', '&').replaceAll('&#39;', "'"), `https://h${address}`).href,
  );
}

describe('a listing', () => {
  it('has directories first, then files by name, numbers as numbers', async () => {
    const there = site(
      {
        'f10.txt': '1',
        'f2.txt': '22',
        'B.txt': '',
        'a.txt': '',
        'd/': '',
        'c/': '',
        '.hidden': '',
        '.well-known/': '',
      },
      { listing: true },
    );
    const answer = await there.get('/', json);
    expect(answer).toMatchObject({ kind: 'fixed', status: 200, cacheable: false });
    expect(answer.field('Vary')).toBe('Accept');
    expect(answer.field('Content-Type')).toBe('application/json; charset=utf-8');
    const listed = JSON.parse(answer.text) as {
      path: string;
      truncated: boolean;
      entries: { name: string; type: string; size?: number; modified: string }[];
    };
    expect(listed).toMatchObject({ path: '/', truncated: false });
    expect(listed.entries.map(({ name }) => name)).toEqual([
      '.well-known',
      'c',
      'd',
      'a.txt',
      'B.txt',
      'f2.txt',
      'f10.txt',
    ]);
    expect(listed.entries.at(-2)).toEqual({
      name: 'f2.txt',
      type: 'file',
      size: 2,
      modified: '2023-11-14T22:13:20.000Z',
    });
    const html = await there.get('/');
    expect(html.field('Vary')).toBe('Accept');
    expect(html.field('Content-Security-Policy')).toBe(PAGE_POLICY);
    expect(links(html.text, '/')).toEqual(
      ['.well-known/', 'c/', 'd/', 'a.txt', 'B.txt', 'f2.txt', 'f10.txt'].map((name) => `https://h/${name}`),
    );
    there.close();
  });

  it('escapes every name, and its links lead to the files', async () => {
    const names = [
      '<script>alert(1)</script>',
      '"quoted" & \'more\'',
      'javascript:alert(1)',
      'a?b#c',
      '100%',
      'new\nline',
      'tab\there',
      '\u202Eevil',
      'café 😀',
      ' ',
      '\\',
      '..x',
    ];
    const there = site(Object.fromEntries(names.map((name) => [`d/${name}`.replaceAll('</', '<'), name])), {
      listing: true,
      trailingSlash: 'ignore',
      dotfiles: 'allow',
    });
    for (const address of ['/d/', '/d']) {
      const { text } = await there.get(address);
      expect(text).not.toContain('<script>alert');
      expect(text).toContain('&lt;script&gt;alert(1)&lt;script&gt;');
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is there
      expect(text.replaceAll('\n', '')).not.toMatch(/[\0-\x1f\x7f-\x9f]/);
      const hrefs = links(text, address);
      expect(hrefs).toHaveLength(names.length + 1);
      expect(hrefs.shift()).toBe('https://h/');
      for (const href of hrefs) {
        const { origin, pathname, search, hash } = new URL(href);
        expect([origin, search, hash]).toEqual(['https://h', '', '']);
        const file = await there.get(pathname);
        expect([pathname, file.status]).toEqual([pathname, 200]);
        expect(names).toContain(file.text);
      }
    }
    there.close();
  });

  it('shows what is served: links within the root, nothing that leads out, no FIFO, no name that is not UTF-8', async () => {
    const there = site(
      {
        'a.txt': 'a',
        'in.txt': '-> a.txt',
        out: '-> /etc/passwd',
        loop: '-> loop',
        dangling: '-> none',
        dirlink: '-> d',
        'd/x': '',
      },
      { listing: true },
    );
    writeFileSync(Buffer.concat([Buffer.from(`${there.directory}/caf`), Buffer.from([0xe9])]), '');
    const names = async () =>
      (JSON.parse((await there.get('/', json)).text) as { entries: { name: string }[] }).entries.map(
        ({ name }) => name,
      );
    expect(await names()).toEqual(['d', 'dirlink', 'a.txt', 'in.txt']);
    there.close();
    const strict = site({ 'a.txt': 'a', 'in.txt': '-> a.txt' }, { listing: true, symlinks: 'deny' });
    expect((JSON.parse((await strict.get('/', json)).text) as { entries: unknown[] }).entries).toHaveLength(
      1,
    );
    strict.close();
  });

  it('is bounded, and says so', async () => {
    const there = site({ 'd/': '' }, { listing: true });
    for (let i = 0; i <= MAX_LISTED; i++) symlinkSync('.', join(there.directory, 'd', `${i}`));
    const listed = JSON.parse((await there.get('/d/', json)).text) as {
      truncated: boolean;
      entries: unknown[];
    };
    expect(listed.truncated).toBe(true);
    expect(listed.entries).toHaveLength(MAX_LISTED);
    expect((await there.get('/d/')).text).toContain('Only 10,000 entries are shown');
    there.close();
  });

  it('is there for directories only, without index, when asked for', async () => {
    const there = site({ 'd/index.html': 'index', 'f.txt': '', 'e/': '' }, { listing: true });
    expect((await there.get('/d/')).text).toBe('index');
    expect((await there.get('/f.txt/')).status).toBe(404);
    expect((await there.get('/none/')).status).toBe(404);
    expect((await there.get('/e/')).text).toContain('This folder is empty.');
    there.close();
    const off = site({ 'e/': '' });
    expect((await off.get('/e/')).status).toBe(404);
    off.close();
  });

  it('many at once are all answered', async () => {
    const there = site({ 'd/x': '' }, { listing: true });
    mkdirSync(join(there.directory, 'd/y'));
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => there.get('/d/', i % 2 ? json : {})),
    );
    for (const [i, { status, text }] of answers.entries()) {
      expect(status).toBe(200);
      expect(text.startsWith(i % 2 ? '{' : '<!doctype html>')).toBe(true);
    }
    there.close();
  });

  it('has no trouble with odd times', async () => {
    const there = site({ old: '', far: '' }, { listing: true });
    // Before the epoch, and past what 64 bits of nanoseconds hold.
    execFileSync('touch', ['-d', '@-1000000000', join(there.directory, 'old')]);
    utimesSync(join(there.directory, 'far'), 12e9, 12e9);
    expect(await there.get('/far')).toMatchObject({ kind: 'file', status: 200 });
    expect((await there.get('/old')).variants.identity?.lastModified).toBe(-1);
    expect((await there.get('/')).text).toContain('1938-04-24');
    there.close();
  });
});

describe('pages', () => {
  it('load nothing and name no path', () => {
    for (const status of [400, 403, 404, 405, 408, 412, 413, 414, 416, 431, 500, 501, 503, 505]) {
      const html = Buffer.from(statusPage(status)).toString();
      expect(html).toContain(`<title>${status} `);
      expect(html).not.toMatch(/src=|href=|url\(|@import|<script/);
    }
  });

  it('escape', () => {
    expect(escapeHtml(`<a href="x" title='y'>&\0\x1b`)).toBe(
      '&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;\ufffd\ufffd',
    );
    expect(Buffer.from(page('</title><script>', '')).toString()).toContain(
      '<title>&lt;/title&gt;&lt;script&gt;</title>',
    );
  });

  it('sizes for people', () => {
    expect([0n, 999n, 1000n, 1500n, 123_456n, 10n ** 9n, 2n ** 63n].map(formatSize)).toEqual([
      '0 B',
      '999 B',
      '1.0 KB',
      '1.5 KB',
      '123 KB',
      '1.0 GB',
      '9223 PB',
    ]);
  });

  it('leave out what is neither file nor directory', () => {
    expect(
      sortEntries([
        { name: 'x', type: 'other', mode: 0, dev: 0n, ino: 0n, size: 0n, mtimeNs: 0n, ctimeNs: 0n },
      ]),
    ).toEqual([]);
  });
});

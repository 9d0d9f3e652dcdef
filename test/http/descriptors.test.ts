/** What can go wrong with descriptors, permissions and races. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { native, type OpenedFile } from '../../src/native.ts';
import { contentOf, fieldOf, openDescriptors, read, request, site } from './tree.ts';

const asRoot = process.geteuid?.() === 0;

describe('descriptors', () => {
  it('are all given back after 1,000 resolutions of every kind', async () => {
    const there = site(
      {
        'index.html': 'i',
        'a.js': 'a'.repeat(1000),
        'a.js.br': 'b',
        'a.js.gz': 'g',
        'd/x': '',
        'd.br': 'beside a directory',
        'x.html': 'x',
        'x.html.gz': 'x',
        '404.html': 'no',
        out: '-> /etc/passwd',
      },
      { listing: true, cleanUrls: true, cors: ['https://a.example'] },
    );
    const targets: [string, Record<string, string>?, string?][] = [
      ['/'],
      ['/a.js'],
      ['/a.js', { range: 'bytes=0-0,500-501' }],
      ['/a.js', { range: 'bytes=0-0,500-501', 'if-none-match': '*' }],
      ['/a.js', { range: 'bytes=9000-,9001-' }],
      ['/d'],
      ['/d/'],
      ['/x'],
      ['/x/'],
      ['/x.html'],
      ['/index.html'],
      ['/none'],
      ['/out'],
      ['/a.js/'],
      ['/..'],
      ['/.env'],
      ['/a.js', {}, 'POST'],
      ['/a.js', {}, 'OPTIONS'],
    ];
    await there.get('/');
    const before = openDescriptors();
    await Promise.all(Array.from({ length: 1000 }, (_, i) => there.get(...targets[i % targets.length]!)));
    expect(openDescriptors()).toBe(before);
    expect(there.errors).toEqual([]);
    there.close();
  });

  it('that run out give 503, not cached, and all is well afterwards', async () => {
    const there = site({ a: 'a', '404.html': 'my 404' });
    const hoard: number[] = [];
    try {
      for (;;) hoard.push(openSync('/dev/null', 'r'));
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('EMFILE');
    }
    const answer = await there.get('/a');
    const missing = await there.get('/none');
    for (const fd of hoard) closeSync(fd);
    expect(answer).toMatchObject({ kind: 'fixed', status: 503, cacheable: false });
    expect(answer.field('Retry-After')).toBe('1');
    expect(answer.field('Cache-Control')).toBe('no-store');
    expect(missing).toMatchObject({ cacheable: false });
    expect(await there.get('/a')).toMatchObject({ status: 200, text: 'a' });
    there.close();
  });

  it('are not opened for what is no file', async () => {
    const there = site({ a: 'a' }, { listing: true });
    execFileSync('mkfifo', [join(there.directory, 'fifo')]);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(there.directory, 'socket'), resolve));
    const before = openDescriptors();
    expect(await there.get('/fifo')).toMatchObject({ status: 404 });
    expect(await there.get('/socket')).toMatchObject({ status: 404 });
    expect((await there.get('/')).text).not.toMatch(/fifo|socket/);
    expect(openDescriptors()).toBe(before);
    await new Promise((resolve) => server.close(resolve));
    there.close();
  });

  it('close on exec, and those of a closed number throw', async () => {
    const there = site({ a: 'a' });
    const lease = there.root.acquire();
    const [opened] = (await native.files.openBeneath(lease.fd, ['a'])) as [OpenedFile];
    const seen = execFileSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' });
    expect(seen).not.toContain(there.directory);
    native.files.close(opened.fd);
    expect(() => native.files.close(opened.fd)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect(() => native.files.close(-1)).toThrow(TypeError);
    expect(() => native.files.duplicate(-1)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    lease.release();
    there.close();
  });
});

describe('native files', () => {
  it('stop at the first, read with a limit, list with a limit, refuse nonsense', async () => {
    const there = site({ a: '0123456789', b: 'b', 'd/x': '' });
    const lease = there.root.acquire();
    const { files } = native;
    const found = await files.openBeneath(lease.fd, ['none', 'd', 'a', 'b'], true);
    expect(found.map((each) => (typeof each === 'object' ? each.type : each))).toEqual([
      'ENOENT',
      'directory',
      'file',
      undefined,
    ]);
    const { fd } = found[2] as OpenedFile;
    expect(Buffer.from(await files.read(fd, 100)).toString()).toBe('0123456789');
    expect(Buffer.from(await files.read(fd, 4)).toString()).toBe('0123');
    files.close(fd);
    await expect(files.read(fd, 4)).rejects.toMatchObject({ code: 'EBADF' });
    expect(await files.list(lease.fd, '', 2)).toHaveLength(2);
    await expect(files.list(lease.fd, 'a', 2)).rejects.toMatchObject({ code: 'ENOTDIR', path: 'a' });
    await expect(files.list(lease.fd, '..', 2)).rejects.toMatchObject({ code: 'EXDEV' });
    expect(await files.openBeneath(lease.fd, ['/etc/passwd', '../x', 'a\0', 'x'.repeat(300)])).toEqual([
      'EXDEV',
      'EXDEV',
      'EINVAL',
      'ENAMETOOLONG',
    ]);
    expect(await files.statBeneath(lease.fd, ['/proc/self/root', 'a\0'])).toEqual(['EXDEV', 'EINVAL']);
    expect(() => files.openBeneath(lease.fd, [1 as unknown as string])).toThrow(TypeError);
    expect(() => files.openBeneath('x' as unknown as number, [])).toThrow(TypeError);
    lease.release();
    there.close();
  });
});

describe('permissions', () => {
  async function asNobody<T>(work: () => Promise<T>): Promise<T> {
    if (asRoot) process.seteuid!(65534);
    try {
      return await work();
    } finally {
      if (asRoot) process.seteuid!(0);
    }
  }

  it('denied are 403, never cached; a directory that may only be entered is one', async () => {
    const there = site(
      { 'closed.txt': 'c', 'shut/x': 'x', 'enter/index.html': 'e', 'a.js': 'a', 'a.js.br': 'b' },
      { listing: true },
    );
    chmodSync(there.directory, 0o755);
    chmodSync(join(there.directory, 'closed.txt'), 0o000);
    chmodSync(join(there.directory, 'a.js.br'), 0o000);
    chmodSync(join(there.directory, 'shut'), 0o000);
    chmodSync(join(there.directory, 'enter'), 0o711);
    if (!asRoot) chmodSync(join(there.directory, 'enter'), 0o311);
    await asNobody(async () => {
      expect(await there.get('/closed.txt')).toMatchObject({ status: 403, cacheable: false });
      expect(await there.get('/shut/x')).toMatchObject({ status: 403, cacheable: false });
      expect(await there.get('/shut/')).toMatchObject({ status: 403, cacheable: false });
      expect(await there.get('/enter')).toMatchObject({ status: 308, location: '/enter/' });
      expect(await there.get('/enter/')).toMatchObject({ status: 200, text: 'e' });
      // The file is served, but nobody may conclude that it has no neighbour.
      const script = await there.get('/a.js');
      expect(script).toMatchObject({ status: 200, text: 'a', cacheable: false });
    });
    chmodSync(join(there.directory, 'shut'), 0o755);
    chmodSync(join(there.directory, 'enter'), 0o755);
    there.close();
  });
});

describe('races', () => {
  it('a file that is swapped with a link out of the root never shows what lies there', async () => {
    const there = site({ f: 'inside', 'd/f': 'inside', 'real/f': 'inside' });
    const outside = `${there.directory}-outside`;
    mkdirSync(outside);
    writeFileSync(join(outside, 'f'), 'secret');
    const at = (name: string) => join(there.directory, name);
    let stop = false;
    let swaps = 0;
    // On this thread, between the jobs of the pool, which are on others.
    const swapping = (async () => {
      while (!stop) {
        symlinkSync(join(outside, 'f'), at('l'));
        renameSync(at('l'), at('f'));
        symlinkSync(outside, at('m'));
        renameSync(at('d'), at('aside'));
        renameSync(at('m'), at('d'));
        await new Promise(setImmediate);
        writeFileSync(at('n'), 'inside');
        renameSync(at('n'), at('f'));
        rmSync(at('d'));
        renameSync(at('aside'), at('d'));
        swaps++;
        await new Promise(setImmediate);
      }
    })();
    const seen = new Set<string>();
    await Promise.all(
      Array.from({ length: 16 }, async (_, i) => {
        for (let n = 0; n < 300; n++) {
          const resolution = await there.handler.resolve(request(i % 2 ? '/f' : '/d/f'));
          if (resolution.kind === 'file') {
            const { fd } = resolution.variants[0]!;
            seen.add(contentOf(fd).toString());
            closeSync(fd);
          } else seen.add(`${resolution.status}`);
        }
      }),
    );
    stop = true;
    await swapping;
    expect(swaps).toBeGreaterThan(10);
    expect([...seen].sort()).toEqual(['404', 'inside']);
    rmSync(outside, { recursive: true });
    there.close();
  });

  it('a file that is unlinked after it was opened is still the one that was promised', async () => {
    const there = site({ f: 'first' });
    const resolution = await there.handler.resolve(request('/f'));
    writeFileSync(join(there.directory, 'g'), 'second, and longer');
    renameSync(join(there.directory, 'g'), join(there.directory, 'f'));
    const answer = read(resolution);
    expect(answer.text).toBe('first');
    expect(fieldOf(answer.headers, 'Content-Type')).toBe('application/octet-stream');
    expect((await there.get('/f')).text).toBe('second, and longer');
    there.close();
  });
});

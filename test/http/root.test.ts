import { closeSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StaticHandler } from '../../src/http/handler.ts';
import { resolveHttpOptions } from '../../src/http/options.ts';
import { ServedRoot } from '../../src/http/root.ts';
import { native } from '../../src/native.ts';
import { openDescriptors, read, request } from './tree.ts';

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'socrypt-root-'));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

function make(name: string, content: string): string {
  mkdirSync(join(base, name));
  writeFileSync(join(base, name, 'f'), content);
  return join(base, name);
}

/** A root whose timer never fires by itself, what it said, and what /f is now. */
function serve(path: string) {
  const root = new ServedRoot(path, 3_600_000);
  const said: string[] = [];
  root.on('changed', () => said.push('changed'));
  root.on('vanished', (reason) =>
    said.push(`vanished ${/ENOENT|ENOTDIR|not a directory/.exec(reason)?.[0]}`),
  );
  root.on('recovered', () => said.push('recovered'));
  const handler = new StaticHandler(root, resolveHttpOptions());
  const f = async () => {
    const { status, text } = read(await handler.resolve(request('/f')));
    return status === 200 ? text : status;
  };
  return { root, said, f, handler };
}

describe('a root', () => {
  it('that cannot be served is refused with a code', () => {
    writeFileSync(join(base, 'file'), '');
    expect(() => new ServedRoot(join(base, 'none'))).toThrow(
      expect.objectContaining({ code: 'ERR_SOCRYPT_ROOT_MISSING' }),
    );
    expect(() => new ServedRoot(join(base, 'file'))).toThrow(
      expect.objectContaining({ code: 'ERR_SOCRYPT_ROOT_NOT_DIRECTORY' }),
    );
    expect(() => new ServedRoot(`${base}\0`)).toThrow(expect.objectContaining({ code: 'ERR_SOCRYPT_ROOT' }));
  });

  it.runIf(process.geteuid?.() === 0)(
    'that may not be read is refused with a code (skipped unless root, who can be somebody else)',
    () => {
      mkdirSync(join(base, 'closed'), { mode: 0o700 });
      process.seteuid!(65534);
      try {
        expect(() => new ServedRoot(join(base, 'closed'))).toThrow(
          expect.objectContaining({ code: 'ERR_SOCRYPT_ROOT_UNREADABLE' }),
        );
      } finally {
        process.seteuid!(0);
      }
    },
  );

  it('may be a link, and is switched with it', async () => {
    make('v1', 'one');
    make('v2', 'two');
    const link = join(base, 'current');
    symlinkSync('v1', link);
    const { root, said, f } = serve(link);
    expect(await f()).toBe('one');
    await root.check();
    symlinkSync('v2', join(base, 'next'));
    renameSync(join(base, 'next'), link);
    await root.check();
    expect(await f()).toBe('two');
    await root.check();
    expect(said).toEqual(['changed']);
    root.close();
  });

  it('that vanishes is said once, and so is its return', async () => {
    const path = make('r', 'one');
    const { root, said, f } = serve(path);
    renameSync(path, join(base, 'aside'));
    await root.check();
    await root.check();
    // What is open is still served.
    expect(await f()).toBe('one');
    expect(root.vanished).toBe(true);
    renameSync(join(base, 'aside'), path);
    await root.check();
    expect(said).toEqual(['vanished ENOENT', 'recovered']);
    rmSync(path, { recursive: true });
    await root.check();
    expect(await f()).toBe(404);
    make('r', 'two');
    await root.check();
    expect(await f()).toBe('two');
    expect(said).toEqual(['vanished ENOENT', 'recovered', 'vanished ENOENT', 'changed', 'recovered']);
    rmSync(path, { recursive: true });
    writeFileSync(path, 'a file now');
    await root.check();
    expect(said.at(-1)).toBe('vanished not a directory');
    root.close();
  });

  it('keeps a descriptor open until its last use is over', async () => {
    const path = make('r', 'one');
    const before = openDescriptors();
    const { root } = serve(path);
    const lease = root.acquire();
    renameSync(path, join(base, 'aside'));
    make('r', 'two');
    await root.check();
    const [opened] = await native.files.openBeneath(lease.fd, ['f']);
    closeSync((opened as { fd: number }).fd);
    lease.release();
    lease.release();
    const copy = root.duplicate();
    root.close();
    root.close();
    expect(() => root.acquire()).toThrow(expect.objectContaining({ code: 'ERR_SOCRYPT_ROOT_CLOSED' }));
    expect(await native.files.list(copy, '', 10)).toHaveLength(1);
    native.files.close(copy);
    expect(openDescriptors()).toBe(before);
  });
});

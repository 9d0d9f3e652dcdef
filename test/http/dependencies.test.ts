/**
 * The heart of caching: whenever a change below the root changes the answer to a path, at least one of
 * the facts that the old answer named no longer holds. Random small trees, random changes, all options.
 */
import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { same } from '../../src/http/error-pages.ts';
import { StaticHandler } from '../../src/http/handler.ts';
import { type HttpOptions, resolveHttpOptions } from '../../src/http/options.ts';
import { ServedRoot } from '../../src/http/root.ts';
import { native } from '../../src/native.ts';
import type { Dependency } from '../../src/plane/entry.ts';
import { random } from '../support/random.ts';
import { type Answer, read, request } from './tree.ts';

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const rounds = Number(process.env.ROUNDS ?? 40);

// Few names, so that changes meet what was asked for.
const NAMES = [
  'a',
  'b',
  'a.html',
  'b.html',
  'index.html',
  'index.htm',
  '404.html',
  'a.br',
  'a.html.gz',
  'index.html.br',
  'index.html.zst',
  '.h',
];
const DIRECTORIES = ['', 'a/', 'b/', 'd/', 'd/e/', 'a/b/'];
const TARGETS = [
  'a',
  'b',
  'd',
  '../a',
  '../d',
  '../../outside',
  '../outside',
  '/etc/passwd',
  'e',
  'index.html',
  '.',
  '..',
  'a.html',
];

let base: string;
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'socrypt-dependencies-'));
});
afterAll(() => {
  rmSync(base, { recursive: true, force: true });
});

type Pick = <T>(from: readonly T[]) => T;

function entries(directory: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    found.push(join(directory, entry.name));
    if (entry.isDirectory()) found.push(...entries(join(directory, entry.name)));
  }
  return found;
}

/** One random change below (or just outside) the root; its name, or undefined when it could not be made. */
function mutate(root: string, outside: string, below: (n: number) => number, pick: Pick): string | undefined {
  const all = entries(root);
  // Half of the time beside something that is there, where it may take its place.
  const fresh = () =>
    all.length > 0 && below(2) > 0
      ? pick(all) + pick(['.br', '.zst', '.gz', '.html'])
      : join(root, pick(DIRECTORIES), pick(NAMES));
  const some = () => (all.length > 0 && below(3) > 0 ? pick(all) : fresh());
  const path = some();
  const kind = below(13);
  const relative = (at: string) => at.slice(root.length);
  try {
    switch (kind) {
      case 0:
      case 1:
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, `content ${below(4)}`);
        return `write ${relative(path)}`;
      case 2:
        if (!lstatSync(path).isFile()) return undefined;
        appendFileSync(path, 'x');
        return `append ${relative(path)}`;
      case 3:
      case 4:
        rmSync(path, { recursive: true });
        return `remove ${relative(path)}`;
      case 5: {
        const to = some();
        renameSync(path, to);
        return `rename ${relative(path)} ${relative(to)}`;
      }
      case 6: {
        const target = pick(TARGETS);
        mkdirSync(dirname(path), { recursive: true });
        symlinkSync(target, path);
        return `link ${relative(path)} -> ${target}`;
      }
      case 7: {
        // A thing moved aside, and a link to it in its old place: the same file under the same name.
        const aside = fresh();
        renameSync(path, aside);
        const up = '../'.repeat(relative(path).split('/').length - 2);
        symlinkSync(`${up || './'}${relative(aside).slice(1)}`, path);
        return `move aside and link ${relative(path)} -> ${relative(aside)}`;
      }
      case 8: {
        // The same, out of the root: the same file, no longer ours to serve.
        const aside = join(outside, `moved-${below(1e9)}`);
        renameSync(path, aside);
        symlinkSync(aside, path);
        return `move out and link ${relative(path)}`;
      }
      case 9: {
        const to = fresh();
        linkSync(path, to);
        return `hard link ${relative(path)} ${relative(to)}`;
      }
      case 10: {
        // Older than its neighbours, or as old as they are, or without a date (reproducible builds).
        const at = pick([0, 1, 1_500_000_000, 1_500_000_000.5, 1_600_000_000]);
        utimesSync(path, at, at);
        return `times ${relative(path)} ${at}`;
      }
      case 11:
        mkdirSync(path, { recursive: true });
        return `mkdir ${relative(path)}`;
      default:
        if (lstatSync(path).isSymbolicLink()) return undefined;
        chmodSync(path, pick([0o755, 0o644, 0o700]));
        return `chmod ${relative(path)}`;
    }
  } catch {
    return undefined;
  }
}

/** A tree to begin with: a quarter of all names, some of them links. */
function grow(root: string, below: (n: number) => number, pick: Pick): void {
  for (const directory of DIRECTORIES) {
    for (const name of NAMES) {
      if (below(4) > 0) continue;
      const path = join(root, directory, name);
      try {
        mkdirSync(dirname(path), { recursive: true });
        if (below(4) > 0) writeFileSync(path, `first ${below(4)}`);
        else symlinkSync(pick(NAMES), path);
      } catch {
        // A file stands where a directory is wanted, or the other way round.
      }
    }
  }
}

/** Everything of an answer that a client can see. */
function visible({ status, kind, headers, text, variants }: Answer): string {
  return JSON.stringify([status, kind, headers, text, variants]);
}

async function holds(root: ServedRoot, dependencies: readonly Dependency[]): Promise<boolean> {
  const lease = root.acquire();
  const facts = await native.files.statBeneath(
    lease.fd,
    dependencies.map(({ path }) => path),
  );
  lease.release();
  const absent = ['ENOENT', 'ENOTDIR', 'EXDEV', 'ELOOP', 'ENAMETOOLONG'];
  return dependencies.every(({ identity }, at) => {
    const fact = facts[at]!;
    if (identity === null) return typeof fact === 'string' && absent.includes(fact);
    return typeof fact === 'object' && same(fact, identity);
  });
}

function randomOptions(pick: Pick): HttpOptions {
  return {
    index: pick([['index.html'], ['index.htm', 'index.html'], ['index.html', 'index.htm']]),
    listing: pick([false, true]),
    cleanUrls: pick([false, true]),
    trailingSlash: pick(['add', 'remove', 'ignore'] as const),
    dotfiles: pick(['deny', 'allow'] as const),
    symlinks: pick(['inside', 'inside', 'deny'] as const),
    precompressed: pick([['br', 'zstd', 'gzip'], ['gzip'], []] as const),
    spa: pick([false, false, 'index.html']),
    errorPages: pick([{}, { '404': 'a.html' }]),
  };
}

const PATHS = DIRECTORIES.flatMap((directory) => ['', ...NAMES].map((name) => `/${directory}${name}`)).concat(
  ['/a//b', '/d', '/none', '/d/e'],
);

it(`names every fact that an answer rests on (SEED=${seed})`, { timeout: 120_000 }, async () => {
  const below = random(seed);
  const pick: Pick = (from) => from[below(from.length)]!;
  let differences = 0;
  let unnecessary = 0;
  let checks = 0;
  for (let round = 0; round < rounds; round++) {
    const directory = join(base, `${round}`);
    const outside = join(base, `${round}-outside`);
    mkdirSync(directory);
    mkdirSync(outside);
    writeFileSync(join(base, 'outside'), 'never to be seen');
    grow(directory, below, pick);
    for (let i = below(6); i >= 0; i--) mutate(directory, outside, below, pick);
    const options = randomOptions(pick);
    const root = new ServedRoot(directory, 3_600_000);
    const errors: unknown[] = [];
    const handler = new StaticHandler(root, resolveHttpOptions(options), {
      onError: (error) => errors.push(error),
    });
    const ask = async (path: string) => read(await handler.resolve(request(path)));
    const old = new Map<string, Answer>();
    const history: string[] = [];
    for (let step = 0; step < 12; step++) {
      for (const path of PATHS) {
        const now = await ask(path);
        expect(now.text, `SEED=${seed} round ${round} ${path}`).not.toContain('never to be seen');
        const before = old.get(path);
        if (before?.cacheable) {
          checks++;
          const changed = visible(before) !== visible(now);
          const held = await holds(root, before.dependencies);
          if (changed) differences++;
          else if (!held) unnecessary++;
          if (changed && held) {
            expect.fail(
              `SEED=${seed} round ${round}: ${path} with ${JSON.stringify(options)}\nafter ${history.join('; ')}\n` +
                `was ${visible(before)}\nis  ${visible(now)}\nand these still hold: ` +
                JSON.stringify(before.dependencies, (_, value) =>
                  typeof value === 'bigint' ? `${value}` : value,
                ),
            );
          }
          // What holds is kept, as the engine keeps it, so that later changes are seen against the oldest facts.
          if (held) continue;
        }
        old.set(path, now);
        // Nothing changed since: what was just found must hold, or nothing could ever be cached.
        if (now.cacheable && step === 0)
          expect(await holds(root, now.dependencies), `SEED=${seed} ${path} ${now.status}`).toBe(true);
      }
      for (let i = below(3); i >= 0; i--) {
        const made = mutate(directory, outside, below, pick);
        if (made !== undefined) history.push(made);
      }
    }
    expect(errors).toEqual([]);
    root.close();
    rmSync(directory, { recursive: true });
    rmSync(outside, { recursive: true });
  }
  // The test has teeth only while answers do change, and caching a point only while most do not.
  expect(differences).toBeGreaterThan(rounds);
  expect(unnecessary).toBeLessThan(checks / 4);
});

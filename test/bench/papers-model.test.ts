/** What docs/papers.md says of simulated cards: virtual time, so the same on every machine. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

const repository = fileURLToPath(new URL('../../', import.meta.url));
// JavaScript without declarations, as all of bench/.
const load = (file: string) => import(new URL(`../../bench/papers/${file}`, import.meta.url).href);
type Table = { head: string[]; rows: (string | number | null | undefined)[][] };
type Outcome = { tables: Table[]; findings: string[] };
const outcome = async (module: string, name: string): Promise<Outcome> =>
  (await load(`experiments/${module}.mjs`))[name].run({ quick: false, progress: () => {} });

beforeAll(() => {
  const built = spawnSync(
    'bash',
    [
      '-c',
      'set -eu; mkdir -p build; source scripts/native-programs.sh; configure build/test; ' +
        'cmake --build build/test -j "$jobs" --target bench_papers >&2',
    ],
    { cwd: repository, encoding: 'utf8' },
  );
  if (built.status !== 0) throw new Error(`bench_papers did not build: ${built.stderr.slice(-2000)}`);
  process.env.SOCRYPT_BENCH_PROGRAMS = `${repository}build/test`;
}, 600_000);

/** "paper / here" of every cell, as how far ours is from the paper's. */
const errors = (row: Table['rows'][number] | undefined) =>
  (row ?? []).slice(1).map((cell) => {
    const [paper, here] = String(cell).split(' / ').map(Number) as [number, number];
    return Math.abs(here / paper - 1);
  });

describe('load balancing', () => {
  test('Table I: 12 % with up to four threads, 18 % with 32', async () => {
    const rows = (await outcome('balance', 'tableI')).tables[0]?.rows ?? [];
    expect(rows.map((row) => row[0])).toEqual(['1', '2', '3', '4', '32']);
    for (const row of rows) {
      expect(errors(row)).toHaveLength(6);
      expect(Math.max(...errors(row)), `${row[0]} threads`).toBeLessThan(row[0] === '32' ? 0.18 : 0.12);
    }
  });

  test('Table II: 15 %', async () => {
    const rows = (await outcome('balance', 'tableII')).tables[0]?.rows ?? [];
    expect(rows.map((row) => row[0])).toEqual(['1', '32']);
    for (const row of rows) expect(Math.max(...errors(row)), `${row[0]} threads`).toBeLessThan(0.15);
  });
});

test('short operations: every published speed within 10 %, and the known-answer test catches the seventh experiment alone', async () => {
  type Run = { wrong: number; operations: number; knownAnswers: boolean; published: boolean };
  const tops = (await load('experiments/short.mjs')).tops() as {
    name: string;
    paper: number;
    here: number;
    runs: Run[];
  }[];
  expect(tops.length).toBeGreaterThanOrEqual(8);
  for (const { name, paper, here, runs } of tops) {
    // The ISA accesses doubled are predicted, not fitted: "an appropriate halving".
    expect(Math.abs(here / paper - 1), `experiment ${name}`).toBeLessThan(
      name === '5, ISA twice' ? 0.25 : 0.1,
    );
    for (const run of runs) {
      expect(run.wrong, `experiment ${name}`).toBe(name === '7' ? run.operations : 0);
      expect(run.knownAnswers, `experiment ${name}`).toBe(name !== '7');
      expect(run.published, `experiment ${name}`).toBe(name !== '7');
    }
  }
});

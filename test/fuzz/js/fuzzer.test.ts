/** The fuzzer finds what is hidden, and its targets stand what its corpus has collected. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { Random, testSeed } from '../../support/random.ts';
import { corpusOf } from './corpus.ts';
import { fuzz, minimised } from './fuzzer.ts';
import { mutated } from './mutator.ts';
import { TARGETS } from './targets.ts';

const seed = testSeed();
const folder = mkdtempSync(join(tmpdir(), 'socrypt-fuzz-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** In a file of its own, as V8 sees it: vitest changes what it runs. */
async function planted(name: string, body: string): Promise<(input: Uint8Array) => void> {
  const path = join(folder, `${name}.mjs`);
  writeFileSync(path, `export function run(input) {\n${body}\n}\n`);
  const { run } = (await import(/* @vite-ignore */ pathToFileURL(path).href)) as {
    run: (input: Uint8Array) => void;
  };
  return run;
}
const wants = (url: string) => url.includes('socrypt-fuzz-');

describe('the fuzzer', () => {
  test(`finds a bug behind five bytes, which chance alone does not (seed ${seed})`, async () => {
    const run = await planted(
      'five-bytes',
      `if (input[0] === 0x53) if (input[1] === 0x4f) if (input[2] === 0x43) if (input[3] === 0x52) {
         if (input[4] === 0x59) throw new Error('found');
       }`,
    );
    const limit = 600_000;
    const progress = fuzz(
      { run },
      { random: new Random(seed), seeds: [], wants, goesOn: ({ runs }) => runs < limit },
    );
    expect(progress.finding?.error).toMatchObject({ message: 'found' });
    expect(Buffer.from(progress.finding!.input.subarray(0, 5)).toString()).toBe('SOCRY');
    // One in 2^40 is not found in 600,000.
    const random = new Random(seed);
    for (let i = 0; i < 100_000; i++) run(random.bytes(5));
  });

  test('keeps one input per place, the shortest', async () => {
    const run = await planted(
      'places',
      'if (input.length > 2) return 1; if (input.length > 0) return 2; return 3;',
    );
    const inputs = [9, 8, 3, 2, 1, 0].map((length) => new Uint8Array(length));
    expect(minimised({ run }, inputs, wants).map(({ length }) => length)).toEqual([0, 1, 3]);
  });

  test('changes elements of DER so that the lengths around them fit', () => {
    const random = new Random(seed);
    const options = { words: [], der: true, maxLength: 4096 };
    const nested = Uint8Array.from(Buffer.from('300c300a0203010203040301020a', 'hex'));
    const fits = (bytes: Uint8Array) => bytes[0] === 0x30 && bytes[1] === bytes.length - 2;
    let others = 0;
    for (let i = 0; i < 5000; i++) {
      const bytes = mutated(random, nested, nested, options);
      if (fits(bytes) && bytes.length !== nested.length) others++;
    }
    expect(others).toBeGreaterThan(100);
  });

  test.each([
    ['an endless loop', '1', 'while (input !== null);', 'no end'],
    ['endless memory', '50', 'const all = []; for (;;) all.push(new Array(1e6).fill(input));', 'memory'],
    ['an error', '50', 'throw new TypeError("oh");', 'TypeError: oh'],
  ])('%s is found, and its input kept', async (_name, limit, body, said) => {
    const root = join(import.meta.dirname, '../../..');
    execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(import.meta.dirname, 'tsconfig.json')]);
    const build = join(root, 'build/fuzz/js/test/fuzz/js/main.js');
    await planted('bad', body);
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        build,
        '--module',
        join(folder, 'bad.mjs'),
        '--seconds',
        '2',
        '--limit',
        limit,
        '--memory',
        '64',
        '--found',
        folder,
      ],
      { encoding: 'utf8' },
    );
    expect(stderr).toContain(said);
    expect(status).toBe(1);
    expect(readdirSync(folder).some((file) => file.startsWith('module-'))).toBe(true);
  });
});

describe.each(Object.entries(TARGETS))('target %s', (name, target) => {
  test('stands its corpus', () => {
    const inputs = corpusOf(name);
    expect(inputs.length).toBeGreaterThan(0);
    for (const path of inputs) target.run(Uint8Array.from(readFileSync(path)));
  });

  test(`stands what comes of it (seed ${seed})`, () => {
    const random = new Random(seed);
    const inputs = corpusOf(name).map((path) => Uint8Array.from(readFileSync(path)));
    const options = { words: [], der: false, maxLength: 4096, ...target };
    for (let i = 0; i < 300; i++) {
      const [input, other] = [inputs[random.below(inputs.length)]!, inputs[random.below(inputs.length)]!];
      target.run(mutated(random, input, other, options));
    }
  });
});

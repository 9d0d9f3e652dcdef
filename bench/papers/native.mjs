// @ts-check
/** The experiments' native programs: built when they are needed, run with one line of JSON each. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '../https/peers.mjs';
import { median } from '../https/report.mjs';

/** A folder where somebody else has built them, else our own. */
const given = process.env.SOCRYPT_BENCH_PROGRAMS;
const build = given ?? join(repository, 'build/bench');
/** @type {Set<string>} */
const built = new Set();

/** @param {string} program */
export function ensure(program) {
  if (given !== undefined) return join(build, program);
  if (built.has(program)) return join(build, program);
  mkdirSync(join(repository, 'build'), { recursive: true });
  execFileSync('cmake', ['-S', join(repository, 'native'), '-B', build, '-DSOCRYPT_BENCH=ON'], {
    stdio: 'pipe',
  });
  execFileSync('cmake', ['--build', build, '-j', '2', '--target', program], { stdio: 'pipe' });
  built.add(program);
  return join(build, program);
}

/** Why `program` cannot be built; null when it can. @param {string} program @param {string} remedy */
export function absence(program, remedy) {
  try {
    ensure(program);
    return existsSync(join(build, program)) ? null : remedy;
  } catch {
    return remedy;
  }
}

/** Lines of JSON that `program` prints. @param {string} program @param {readonly (string | number)[]} args @returns {any[]} */
export function lines(program, args) {
  const text = execFileSync(ensure(program), args.map(String), { encoding: 'utf8', maxBuffer: 1 << 26 });
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}

/** The run of `count` whose `key` is the median. @template T @param {number} count @param {(value: T) => number} key @param {() => T} run */
export function typical(count, key, run) {
  const all = Array.from({ length: count }, run);
  const middle = median(all.map(key));
  return /** @type {T} */ (all.find((one) => key(one) === middle) ?? all[0]);
}

/** A card's description. @param {string} name */
export const cardFile = (name) => join(repository, 'native/ocf/cards', `${name}.json`);

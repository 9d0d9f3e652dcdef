// @ts-check
/** Where the full results of a run go: every sample, and what it ran on. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { CONGESTION } from './namespace.mjs';
import { repository } from './peers.mjs';

/**
 * Writes `content` with the date, the commit and the machine to `options.json`, or to build/bench/NAME-DATE.json.
 * @param {string} name @param {{ json: string | null }} options @param {object} content
 * @param {number[]} load  averages before the run
 */
export function writeResults(name, options, content, load) {
  const stamp = new Date()
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(':', '');
  const path = options.json ?? join(repository, `build/bench/${name}-${stamp}.json`);
  let commit = '';
  try {
    commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: repository,
      encoding: 'utf8',
      stdio: 'pipe',
    }).trim();
  } catch {
    // Not a clone: the results say nothing about a commit.
  }
  const machine = {
    cpu: cpus()[0]?.model ?? '',
    cores: cpus().length,
    kernel: release(),
    congestion: readFileSync(CONGESTION, 'utf8').trim(),
    loadBefore: load,
  };
  mkdirSync(join(repository, 'build/bench'), { recursive: true });
  writeFileSync(path, `${JSON.stringify({ date: stamp, commit, machine, options, ...content }, null, 1)}\n`);
  return { path, machine };
}

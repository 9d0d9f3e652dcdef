// @ts-check
/** Builds and runs the load program (bench/load). */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { repository } from './peers.mjs';

/**
 * What the load program prints; see bench/load/main.cpp.
 * @typedef {object} LoadResult
 * @property {number} connections
 * @property {number} seconds
 * @property {number} responses
 * @property {number} bodyBytes
 * @property {number} handshakes
 * @property {number} handshakesResumed  of `handshakes`, those that took up a session
 * @property {number} resumed  since the start, warm-up included
 * @property {number} tickets
 * @property {number} handshakesInAll
 * @property {Record<string, number>} errors
 * @property {string} protocol
 * @property {string} suite
 * @property {string} group
 * @property {string} certificate
 * @property {{ p50: number, p99: number }} latencyMicroseconds
 * @property {number} serverCpuSeconds
 * @property {number} loadCpuSeconds
 */

const sources = join(repository, 'bench/load');
export const program = join(repository, 'build/bench/load');

export function buildLoad() {
  mkdirSync(join(repository, 'build/bench'), { recursive: true });
  const files = readdirSync(sources).map((name) => join(sources, name));
  const built = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (files.every((file) => statSync(file).mtimeMs < built)) return;
  const flags = ['-std=c++20', '-O2', '-Wall', '-Wextra', '-o', program];
  try {
    const units = files.filter((file) => file.endsWith('.cpp'));
    // With Intel's library the client opens records about four times faster than with OpenSSL 3.0.
    const fast = existsSync('/usr/include/intel-ipsec-mb.h');
    const libraries = ['-lssl', '-lcrypto', ...(fast ? ['-DBENCH_IPSEC_MB', '-lIPSec_MB'] : [])];
    execFileSync(process.env.CXX ?? 'g++', [...flags, ...units, ...libraries], {
      stdio: 'inherit',
    });
  } catch {
    throw new Error(
      'the load program did not build; it needs g++ and libssl-dev (apt-get install g++ libssl-dev)',
    );
  }
}

/** @param {Record<string, string | number>} options @param {number} cpu */
function start(options, cpu) {
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return spawn('taskset', ['-c', String(cpu), program, ...flags], { stdio: ['pipe', 'pipe', 'inherit'] });
}

/** One measurement. @param {Record<string, string | number>} options @param {number} cpu @returns {Promise<LoadResult>} */
export async function measure(options, cpu) {
  const child = start(options, cpu);
  child.stdin.end();
  let output = '';
  child.stdout.on('data', (bytes) => {
    output += bytes;
  });
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (output === '') throw new Error(`the load program ended with ${code} and without a result`);
  return JSON.parse(output);
}

/**
 * Opens connections and holds them.
 * @param {Record<string, string | number>} options @param {number} cpu
 * @returns {Promise<{ opened: LoadResult, release: () => Promise<{ lostWhileHeld: number }> }>}
 */
export async function holdOpen(options, cpu) {
  const child = start({ ...options, mode: 'idle' }, cpu);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the load program ended without a result');
    return JSON.parse(value);
  };
  const opened = await next();
  return {
    opened,
    release: () => {
      child.stdin.end();
      return next();
    },
  };
}

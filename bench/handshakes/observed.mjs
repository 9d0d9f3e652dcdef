// @ts-check
/** Our own server in a process that answers questions; see peers/socrypt-observed.mjs. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeCertificate } from '../https/corpus.mjs';
import { repository } from '../https/peers.mjs';
import { BODY, FILE } from './peers.mjs';

/**
 * @typedef {object} Look
 * @property {number} heapUsed
 * @property {number} external  array buffers included
 * @property {number} anonymous  private memory of the process, bytes
 * @property {number} connections
 * @property {{ full: number, failed: number }} handshakes
 * @property {{ p50: number, p99: number, max: number }} delays  of the main thread's event loop since the last look, ms
 */

/** What the load program asks for. */
export const request = { path: `/${FILE}`, length: BODY.length };

/**
 * @param {Record<string, unknown>} options  of serve()
 * @param {'P-256' | 'RSA-2048'} key
 * @param {number[]} cpus  that it may run on; none: all
 */
export async function startObserved(options, key, cpus = []) {
  const directory = join(repository, 'build/bench');
  const root = join(directory, 'www-small');
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, FILE), BODY);
  const program = new URL('peers/socrypt-observed.mjs', import.meta.url).pathname;
  const all = { root, ...makeCertificate(directory, key), ...options };
  const node = [process.execPath, '--expose-gc', program, join(repository, 'dist'), JSON.stringify(all)];
  const [command = '', ...args] = cpus.length > 0 ? ['taskset', '-c', cpus.join(','), ...node] : node;
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the server ended without a word');
    return JSON.parse(value);
  };
  const { port } = await next();
  return {
    pid: child.pid ?? -1,
    /** @type {number} */
    port,
    /** @returns {Promise<Look>} */
    look: () => {
      child.stdin.write('\n');
      return next();
    },
    close: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end();
      await ended;
    },
  };
}

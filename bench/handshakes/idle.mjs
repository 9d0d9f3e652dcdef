#!/usr/bin/env node
// @ts-check
/**
 * Memory of an established connection: what JavaScript keeps of it (the control plane, where nothing of a finished
 * handshake should stay), and all private memory of the process, which has the data plane's part in it.
 *
 *     npm run bench:handshakes:idle -- [--connections 5000]
 */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { makeCertificate } from '../https/corpus.mjs';
import { buildLoad, holdOpen, measure } from '../https/load.mjs';
import { number, UsageError } from '../https/options.mjs';
import { repository } from '../https/peers.mjs';
import { descriptorLimit } from '../https/process.mjs';
import { BODY, FILE } from './peers.mjs';

/** Pools, code and the heap have their size after these. */
const WARM_REQUESTS = 3000;
const LOAD_CPU = 1;

try {
  const { values } = parseArgs({ options: { connections: { type: 'string' } } });
  const room = Math.max(1, Math.floor(descriptorLimit()) - 512);
  const connections = Math.min(number('connections', values.connections, 5000, 1), room);
  buildLoad();
  const directory = join(repository, 'build/bench');
  const root = join(directory, 'www-small');
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, FILE), BODY);
  const { cert, key } = makeCertificate(directory, 'P-256');
  const program = new URL('peers/socrypt-idle.mjs', import.meta.url).pathname;
  const child = spawn(
    process.execPath,
    ['--expose-gc', program, join(repository, 'dist'), root, cert, key, String(connections)],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => {
      const { value, done } = await lines.next();
      if (done) throw new Error('the server ended without a word');
      return JSON.parse(value);
    };
    const { port } = await next();
    const request = { port, path: `/${FILE}`, length: BODY.length };
    const look = () => {
      child.stdin.write('\n');
      return next();
    };
    await measure({ ...request, mode: 'connect', connections: 64, requests: WARM_REQUESTS }, LOAD_CPU);
    const before = await look();
    const { release } = await holdOpen({ ...request, connections }, LOAD_CPU);
    const during = await look();
    await release();
    const held = during.connections - before.connections;
    const each = (/** @type {string[]} */ names) =>
      names.reduce((sum, name) => sum + during[name] - before[name], 0) / held;
    const bytes = (/** @type {number} */ value) => `${Math.round(value).toLocaleString('en-US')} bytes`;
    console.log(`${held} connections held, each after its handshake and one request; per connection:`);
    console.log(`  JavaScript, heap and buffers outside of it: ${bytes(each(['heapUsed', 'external']))}`);
    console.log(`  all private memory of the process (both planes): ${bytes(each(['anonymous']))}`);
  } finally {
    child.stdin.end();
    await new Promise((resolve) => child.once('exit', resolve));
  }
} catch (error) {
  console.error(`bench: ${/** @type {Error} */ (error).message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

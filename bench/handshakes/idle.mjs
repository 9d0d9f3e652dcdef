#!/usr/bin/env node
// @ts-check
/**
 * Memory of an established connection: what JavaScript keeps of it (the control plane, where nothing of a finished
 * handshake should stay), and all private memory of the process, which has the data plane's part in it.
 *
 *     npm run bench:handshakes:idle -- [--connections 5000]
 */
import { parseArgs } from 'node:util';
import { buildLoad, holdOpen, measure } from '../https/load.mjs';
import { number, UsageError } from '../https/options.mjs';
import { descriptorLimit } from '../https/process.mjs';
import { request, startObserved } from './observed.mjs';

/** Pools, code and the heap have their size after these. */
const WARM_REQUESTS = 3000;
const LOAD_CPU = 1;

try {
  const { values } = parseArgs({ options: { connections: { type: 'string' } } });
  const room = Math.max(1, descriptorLimit() - 512);
  const connections = Math.min(number('connections', values.connections, 5000, 1), room);
  buildLoad();
  const server = await startObserved({ workers: 1, maxConnections: connections * 2 + 512 }, 'P-256');
  try {
    const asked = { ...request, port: server.port };
    await measure({ ...asked, mode: 'connect', connections: 64, requests: WARM_REQUESTS }, LOAD_CPU);
    const before = await server.look();
    const { release } = await holdOpen({ ...asked, connections }, LOAD_CPU);
    const during = await server.look();
    await release();
    const held = during.connections - before.connections;
    const bytes = (/** @type {number} */ value) =>
      `${Math.round(value / held).toLocaleString('en-US')} bytes`;
    const scripts = during.heapUsed + during.external - before.heapUsed - before.external;
    console.log(`${held} connections held, each after its handshake and one request; per connection:`);
    console.log(`  JavaScript, heap and buffers outside of it: ${bytes(scripts)}`);
    console.log(
      `  all private memory of the process (both planes): ${bytes(during.anonymous - before.anonymous)}`,
    );
  } finally {
    await server.close();
  }
} catch (error) {
  console.error(`bench: ${/** @type {Error} */ (error).message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

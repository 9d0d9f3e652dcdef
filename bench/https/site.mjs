// @ts-check
/** One running peer: started in its own directory, on its own port, and gone without a trace. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measure } from './load.mjs';
import { coreTimes, freePort, memory, processTree, startPinned, stop, waitForPort } from './process.mjs';

/** @typedef {{ name: string, port: number, pids: () => number[], memory: () => { anonymous: number, peak: number }, close: () => Promise<void> }} Server */

/** @type {Set<Server>} */
const open = new Set();

export async function closeAll() {
  await Promise.all([...open].map((server) => server.close()));
}

/**
 * @param {import('./peers.mjs').Peer} peer @param {import('./corpus.mjs').Corpus} corpus
 * @param {{ serverCpu: number, connections: number }} options @returns {Promise<Server>}
 */
export async function startPeer(peer, corpus, options) {
  const directory = mkdtempSync(join(tmpdir(), `socrypt-bench-${peer.name}-`));
  const port = await freePort();
  const command = peer.command({ ...corpus, port, directory, connections: options.connections });
  const running = startPinned(command, options.serverCpu, {
    cwd: directory,
    env: { NODE_ENV: 'production' },
  });
  /** @type {Server} */
  const server = {
    name: peer.name,
    port,
    pids: () => processTree(running.pid),
    memory: () => memory(processTree(running.pid)),
    close: async () => {
      open.delete(server);
      await stop(running);
      rmSync(directory, { recursive: true, force: true });
    },
  };
  open.add(server);
  await waitForPort(running, port, peer.name);
  return server;
}

/**
 * One measurement of one server, with the use of both cores meanwhile.
 * @param {Server} server @param {Record<string, string | number>} request  of the load program
 * @param {{ serverCpu: number, loadCpu: number }} options
 */
export async function measureOn(server, request, options) {
  const before = [coreTimes(options.serverCpu), coreTimes(options.loadCpu)];
  const asked = { ...request, port: server.port, 'cpu-of': server.pids().join(',') };
  const result = await measure(asked, options.loadCpu);
  const [core, loadCore] = [options.serverCpu, options.loadCpu].map((cpu, index) => {
    const after = coreTimes(cpu);
    const total = after.total - before[index].total || 1;
    const share = (/** @type {'busy' | 'softirq' | 'steal'} */ kind) =>
      (after[kind] - before[index][kind]) / total;
    const own = (index === 0 ? result.serverCpuSeconds : result.loadCpuSeconds) / result.seconds;
    return {
      busy: share('busy'),
      softirq: share('softirq'),
      steal: share('steal'),
      others: Math.max(0, share('busy') - own),
    };
  });
  return { ...result, core, loadCore };
}

/**
 * Every file once, every byte compared: a server that sends something else has no business in the table.
 * @param {Server} server @param {import('./corpus.mjs').Corpus} corpus
 * @param {import('./options.mjs').FileSize[]} files @param {{ loadCpu: number, group: string }} options
 */
export async function verify(server, corpus, files, options) {
  for (const file of files) {
    const request = {
      port: server.port,
      path: `/${file.name}.bin`,
      length: file.bytes,
      group: options.group,
    };
    const compare = join(corpus.root, `${file.name}.bin`);
    const result = await measure({ ...request, connections: 1, requests: 2, compare }, options.loadCpu);
    const errors = Object.entries(result.errors).filter(([, count]) => count > 0);
    if (result.responses < 2 || errors.length > 0) {
      throw new Error(
        `${server.name} did not serve ${file.name} right: ${result.responses} of 2, ${JSON.stringify(Object.fromEntries(errors))}`,
      );
    }
    const expected = ['TLSv1.3', 'TLS_AES_128_GCM_SHA256', 'EC 256'];
    const got = [result.protocol, result.suite, result.certificate];
    if (expected.join() !== got.join())
      throw new Error(`${server.name}: expected ${expected} but negotiated ${got}`);
  }
}

#!/usr/bin/env node
// @ts-check
/**
 * HTTPS servers side by side on one core, the load on another. See docs/benchmarks.md for what the figures
 * mean. It reports; it never fails on a figure.
 */
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeCorpus } from './corpus.mjs';
import { buildLoad, holdOpen, measure } from './load.mjs';
import { CONGESTION, enterNamespace } from './namespace.mjs';
import { HELP, parseOptions, UsageError } from './options.mjs';
import { findPeers, install, repository } from './peers.mjs';
import { descriptorLimit } from './process.mjs';
import { summaries, table } from './report.mjs';
import { writeResults } from './results.mjs';
import { closeAll, measureOn, startPeer, verify } from './site.mjs';

/** @typedef {import('./report.mjs').Cell} Cell */
/** @typedef {import('./options.mjs').Options} Options */

const CONNECT_FILE = { name: '1k', bytes: 1024 };
/** Before the memory of idle connections is taken: code is compiled and pools have their first pages. */
const WARM_REQUESTS = 500;
const SETTLE_MS = 1500;

const progress = (/** @type {string} */ text) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

/** @param {Cell} cell @param {Options} options */
function connectionsFor(cell, options) {
  if (options.connections !== null) return options.connections;
  if (cell.kind === 'connect') return 32;
  if (cell.bytes <= 16 * 1024) return 64;
  return cell.bytes <= 1024 * 1024 ? 16 : 8;
}

/** @param {Cell} cell @param {import('./site.mjs').Server} server @param {Options} options @param {number} round */
async function sample(cell, server, options, round) {
  const taken = await measureOn(
    server,
    {
      mode: cell.kind === 'connect' ? 'connect' : 'keepalive',
      reader: cell.kind === 'connect' ? 'openssl' : 'records',
      path: `/${cell.kind === 'connect' ? CONNECT_FILE.name : cell.name}.bin`,
      length: cell.bytes,
      connections: connectionsFor(cell, options),
      seconds: options.seconds,
      warmup: options.warmup,
      group: options.group,
    },
    options,
  );
  return { ...taken, peer: server.name, cell: cell.name, round };
}

/** @param {import('./peers.mjs').Peer} peer @param {import('./corpus.mjs').Corpus} corpus @param {Options} options */
async function idleMemory(peer, corpus, options) {
  const server = await startPeer(peer, corpus, { serverCpu: options.serverCpu, connections: options.idle });
  const request = { port: server.port, path: '/1k.bin', length: CONNECT_FILE.bytes, group: options.group };
  await measure({ ...request, mode: 'connect', connections: 16, requests: WARM_REQUESTS }, options.loadCpu);
  await sleep(SETTLE_MS);
  const before = server.memory().anonymous;
  const { opened, release: letGo } = await holdOpen(
    { ...request, connections: options.idle },
    options.loadCpu,
  );
  await sleep(SETTLE_MS);
  const after = server.memory().anonymous;
  const { lostWhileHeld } = await letGo();
  await server.close();
  const held = opened.connections - (opened.errors.stalled ?? 0);
  return {
    peer: peer.name,
    connections: options.idle,
    held,
    bytesEach: (after - before) / held,
    lost: lostWhileHeld,
  };
}

/** @param {Options} options */
async function run(options) {
  buildLoad();
  const { peers, missing } = findPeers(options);
  const possible = Math.max(0, descriptorLimit() - 512);
  if (options.idle > possible) {
    console.error(
      `bench: ${possible} idle connections instead of ${options.idle}: the limit is 'ulimit -Hn'`,
    );
    options.idle = possible;
  }
  for (const peer of missing) console.error(`bench: without ${peer.missing}`);
  if (peers.length === 0) throw new UsageError('none of the wanted servers is here; --install gets them');
  const files = options.sizes.some((size) => size.name === CONNECT_FILE.name)
    ? options.sizes
    : [CONNECT_FILE, ...options.sizes];
  const corpus = makeCorpus(join(repository, 'build/bench'), files);
  /** @type {Cell[]} */
  const cells = options.sizes.map((size) => ({ kind: 'file', ...size }));
  if (options.connect) cells.push({ kind: 'connect', name: 'connect', bytes: CONNECT_FILE.bytes });

  /** @type {import('./report.mjs').Results} */
  const results = { cells, peers: [], samples: [], idle: [], peakBytes: {} };
  let usable = peers;
  for (let round = 0; round < options.rounds; ++round) {
    // Started anew in every round: the luck of one start (addresses, placement) is not the whole result.
    const servers = [];
    for (const peer of usable) {
      progress(`round ${round + 1}/${options.rounds}: starting ${peer.name}`);
      try {
        const server = await startPeer(peer, corpus, { serverCpu: options.serverCpu, connections: 1024 });
        await verify(server, corpus, round === 0 ? files : [CONNECT_FILE], options);
        servers.push(server);
      } catch (error) {
        console.error(`bench: without ${peer.name}: ${/** @type {Error} */ (error).message}`);
        usable = usable.filter((other) => other !== peer);
      }
    }
    for (const cell of cells) {
      for (const server of servers) {
        progress(`round ${round + 1}/${options.rounds}: ${cell.name}, ${server.name}`);
        results.samples.push(await sample(cell, server, options, round));
      }
    }
    for (const server of servers) {
      results.peakBytes[server.name] = Math.max(results.peakBytes[server.name] ?? 0, server.memory().peak);
      await server.close();
    }
  }
  results.peers = usable.map(({ name, version }) => ({ name, version }));
  results.samples = results.samples.filter((one) => usable.some((peer) => peer.name === one.peer));
  for (const peer of options.idle > 0 ? usable : []) {
    progress(`${options.idle} idle connections: ${peer.name}`);
    try {
      results.idle.push(await idleMemory(peer, corpus, options));
    } catch (error) {
      console.error(`bench: no idle figure for ${peer.name}: ${/** @type {Error} */ (error).message}`);
    }
  }
  progress('');
  return results;
}

let interrupted = false;
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
  process.once(signal, () => {
    interrupted = true;
    console.error(`\nbench: ${signal}, stopping the servers`);
    closeAll().finally(() => process.exit(130));
  });
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === 'help') {
    console.log(HELP);
  } else {
    const load = loadavg();
    if (options.install) install();
    enterNamespace(options.congestion);
    const results = await run(options);
    const content = { summary: summaries(results), ...results };
    const { path, machine } = writeResults('https', options, content, load);
    console.log(
      `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}; TLS 1.3, AES-128-GCM, ${options.group}, ECDSA P-256`,
    );
    console.log(
      `congestion control ${readFileSync(CONGESTION, 'utf8').trim()}; ${options.rounds} rounds of ${options.seconds} s; ${results.peers.map((peer) => peer.version).join(', ')}\n`,
    );
    console.log(table(results));
    console.log(`\nFull results: ${path}`);
  }
} catch (error) {
  await closeAll();
  if (!interrupted) console.error(`bench: ${/** @type {Error} */ (error).message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

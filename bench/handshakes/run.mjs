#!/usr/bin/env node
// @ts-check
/**
 * Handshakes per CPU-second of the server, each with its accept, one small request and the close. See
 * docs/benchmarks.md for what the figures mean. It reports; it never fails on a figure.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from '../https/corpus.mjs';
import { buildLoad, measure } from '../https/load.mjs';
import { CONGESTION, enterNamespace } from '../https/namespace.mjs';
import { UsageError } from '../https/options.mjs';
import { repository } from '../https/peers.mjs';
import { writeResults } from '../https/results.mjs';
import { closeAll, measureOn, startPeer } from '../https/site.mjs';
import { HELP, parseOptions } from './options.mjs';
import { BODY, FILE, findPeers } from './peers.mjs';
import { summaries, table } from './report.mjs';

/** @typedef {import('./options.mjs').Options} Options */
/** @typedef {import('./report.mjs').Cell} Cell */
/** @typedef {{ server: import('../https/site.mjs').Server, unable: Map<string, string> }} Started */

const progress = (/** @type {string} */ text) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

/** @param {Options} options @returns {Cell[]} */
function cellsOf(options) {
  return options.tls.flatMap((tls) =>
    options.keys.flatMap((key) =>
      options.kinds.map((kind) => ({
        kind: 'connect',
        name: `${tls} ${key} ${kind}`,
        bytes: BODY.length,
        tls,
        key,
        resumed: kind === 'resumed',
      })),
    ),
  );
}

/** @param {Cell} cell @param {Options} options */
const requestFor = (cell, options) => ({
  mode: 'connect',
  reader: 'openssl',
  path: `/${FILE}`,
  length: BODY.length,
  connections: options.connections,
  group: options.group,
  tls: cell.tls,
  resume: cell.resumed ? 'yes' : 'no',
});

/**
 * Why a server has no figure in a cell; null when it does what is measured.
 * @param {import('../https/site.mjs').Server} server @param {Cell} cell @param {Options} options
 */
async function unable(server, cell, options) {
  const requests = 40;
  const asked = { ...requestFor(cell, options), port: server.port, connections: 1, requests };
  const result = await measure(asked, options.loadCpu).catch(() => null);
  if (result === null || result.responses < requests) return `no TLS ${cell.tls}`;
  const errors = Object.values(result.errors).reduce((a, b) => a + b, 0);
  if (errors > 0) return `wrong answers: ${JSON.stringify(result.errors)}`;
  const key = cell.key === 'P-256' ? 'EC 256' : 'RSA 2048';
  const suite = cell.key === 'P-256' ? 'ECDHE-ECDSA-AES128-GCM-SHA256' : 'ECDHE-RSA-AES128-GCM-SHA256';
  const expected = [`TLSv${cell.tls}`, cell.tls === '1.3' ? 'TLS_AES_128_GCM_SHA256' : suite, key].join();
  const got = [result.protocol, result.suite, result.certificate].join();
  if (got !== expected) return `expected ${expected} but negotiated ${got}`;
  // All but the first have a session to offer; what was resumed nevertheless, or not, is no such handshake.
  if (cell.resumed && result.resumed < result.handshakesInAll - 1)
    return `resumed ${result.resumed} of ${result.handshakesInAll}`;
  if (!cell.resumed && result.resumed > 0) return `resumed ${result.resumed} that should be full`;
  return null;
}

/** @param {Options} options */
async function run(options) {
  buildLoad();
  const { peers, missing } = findPeers(options);
  for (const peer of missing) console.error(`bench: without ${peer.missing}`);
  if (peers.length === 0) throw new UsageError('none of the wanted servers is here');
  const directory = join(repository, 'build/bench');
  const root = join(directory, 'www-small');
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, FILE), BODY);

  const cells = cellsOf(options);
  /** @type {import('./report.mjs').Results} */
  const results = {
    cells,
    peers: peers.map(({ name, version }) => ({ name, version })),
    samples: [],
    idle: [],
    peakBytes: {},
    unable: [],
  };
  const cannot = (/** @type {string} */ peer, /** @type {Cell} */ cell) =>
    results.unable.some((entry) => entry.peer === peer && entry.cell === cell.name);
  for (let round = 0; round < options.rounds; ++round) {
    // Servers whose tickets are a setting are started once with and once without them.
    for (const key of options.keys) {
      for (const kind of options.kinds) {
        const resume = kind === 'resumed';
        const servers = [];
        for (const peer of peers) {
          progress(`round ${round + 1}/${options.rounds}: starting ${peer.name}`);
          const site = { root, ...makeCertificate(directory, key), tls: { tls12: true, resume } };
          servers.push(await startPeer(peer, site, { serverCpu: options.serverCpu, connections: 1024 }));
        }
        const own = cells.filter((one) => one.key === key && one.resumed === resume);
        if (options.settle > 0) {
          for (const server of servers) {
            progress(`round ${round + 1}/${options.rounds}: settling ${server.name}`);
            for (const cell of own.filter((one) => !cannot(server.name, one))) {
              const seconds = options.settle / own.length;
              const asked = { ...requestFor(cell, options), port: server.port, seconds, warmup: 0 };
              await measure(asked, options.loadCpu).catch(() => null);
            }
          }
        }
        for (const cell of own) {
          for (const server of servers) {
            progress(`round ${round + 1}/${options.rounds}: ${cell.name}, ${server.name}`);
            if (cannot(server.name, cell)) continue;
            const reason = await unable(server, cell, options);
            if (reason !== null) {
              results.unable.push({ peer: server.name, cell: cell.name, reason });
              continue;
            }
            const request = {
              ...requestFor(cell, options),
              seconds: options.seconds,
              warmup: options.warmup,
            };
            const taken = await measureOn(server, request, options);
            results.samples.push({ ...taken, peer: server.name, cell: cell.name, round });
          }
        }
        for (const server of servers) await server.close();
      }
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
    enterNamespace(options.congestion);
    const results = await run(options);
    const content = { summary: summaries(results), ...results };
    const { path, machine } = writeResults('handshakes', options, content, load);
    console.log(
      `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}; AES-128-GCM, ${options.group}; congestion control ${readFileSync(CONGESTION, 'utf8').trim()}`,
    );
    console.log(
      `${options.rounds} rounds of ${options.seconds} s, ${options.connections} connections at once; ${results.peers.map((peer) => peer.version).join(', ')}\n`,
    );
    console.log(table(results));
    console.log(`\nFull results: ${path}`);
  }
} catch (error) {
  await closeAll();
  if (!interrupted) console.error(`bench: ${/** @type {Error} */ (error).message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

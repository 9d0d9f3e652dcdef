#!/usr/bin/env node
// @ts-check
/** Where a server's time goes under one kind of load: perf over all its threads, folded and summed. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeCorpus } from './corpus.mjs';
import { buildLoad, measure } from './load.mjs';
import { parseOptions, parseSize, UsageError } from './options.mjs';
import { findPeers, repository } from './peers.mjs';
import { closeAll, startPeer, verify } from './site.mjs';
import { printStacks, stacksOf } from './stacks.mjs';

const HELP = `usage: node bench/https/profile.mjs [--peer socrypt] [--load 1m|connect] [options]
  --peer NAME         as in bench:https (socrypt)
  --load SIZE         keep-alive requests for a file of this size (1m), or 'connect' for new connections
  --seconds S         of sampling (5); --warmup S of load before it (1): a JIT takes its time
  --connections N     (16)
  --top N             symbols to show (30)
  --socrypt FILE, --socrypt-args STR, --server-cpu N, --load-cpu N   as in bench:https
Writes folded stacks (for flame graphs) to build/bench/PEER-LOAD.folded. Needs perf (Debian: linux-perf).`;

/** @param {Record<string, any>} values */
async function profile(values) {
  const options = parseOptions([
    ...['--peers', values.peer, '--sizes', values.load === 'connect' ? '1k' : values.load],
    ...['--server-cpu', values['server-cpu'], '--load-cpu', values['load-cpu']],
    ...(values.socrypt ? ['--socrypt', values.socrypt] : []),
    ...(values['socrypt-args'] ? [`--socrypt-args=${values['socrypt-args']}`] : []),
  ]);
  if (options === 'help') return;
  const [peer] = findPeers(options).peers;
  if (peer === undefined)
    throw new UsageError(`${values.peer} is not here: ${findPeers(options).missing[0]?.missing}`);
  buildLoad();
  const build = join(repository, 'build/bench');
  mkdirSync(build, { recursive: true });
  const size = values.load === 'connect' ? parseSize('1k') : parseSize(values.load);
  const corpus = makeCorpus(build, [size]);
  const server = await startPeer(peer, corpus, { serverCpu: options.serverCpu, connections: 1024 });
  await verify(server, corpus, [size], options);
  const seconds = Number(values.seconds);
  const warmup = Number(values.warmup);
  const loading = measure(
    {
      mode: values.load === 'connect' ? 'connect' : 'keepalive',
      reader: values.load === 'connect' ? 'openssl' : 'records',
      port: server.port,
      path: `/${size.name}.bin`,
      length: size.bytes,
      connections: values.connections,
      warmup,
      seconds: seconds + 1,
      'cpu-of': server.pids().join(','),
    },
    options.loadCpu,
  );
  await new Promise((resolve) => setTimeout(resolve, 1000 * warmup));
  const data = join(build, `${peer.name}-${values.load}.perf`);
  // cpu-clock: virtual machines often have no hardware counters.
  const record = [
    'record',
    '-q',
    '-F',
    '1999',
    '-e',
    'cpu-clock',
    '-g',
    '-o',
    data,
    '-p',
    server.pids().join(','),
  ];
  const perf = spawn(
    'taskset',
    ['-c', String(options.loadCpu), 'perf', ...record, '--', 'sleep', String(seconds)],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  await new Promise((resolve, reject) => {
    perf.once('error', reject);
    perf.once('close', resolve);
  });
  const result = await loading;
  // Before the server ends: perf reads the symbols of its libraries from the maps of the live process.
  const stacks = stacksOf(data);
  await server.close();
  const folded = join(build, `${peer.name}-${values.load}.folded`);
  writeFileSync(folded, [...stacks].map(([stack, count]) => `${stack} ${count}\n`).join(''));
  const total = [...stacks.values()].reduce((sum, count) => sum + count, 0);
  const rate = `${(result.bodyBytes / 1e9 / result.seconds).toFixed(2)} GB/s, ${Math.round(result.responses / result.seconds)} answers/s`;
  console.log(`${peer.version}, ${values.load}: ${rate}, ${total} samples in ${seconds} s`);
  printStacks(stacks, Number(values.top));
  console.log(`\nFolded stacks: ${folded}`);
}

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
  process.once(signal, () => closeAll().finally(() => process.exit(130)));
}
try {
  /** @type {import('node:util').ParseArgsConfig['options']} */
  const known = {
    help: { type: 'boolean' },
    peer: { type: 'string', default: 'socrypt' },
    load: { type: 'string', default: '1m' },
    seconds: { type: 'string', default: '5' },
    warmup: { type: 'string', default: '1' },
    connections: { type: 'string', default: '16' },
    top: { type: 'string', default: '30' },
    socrypt: { type: 'string' },
    'socrypt-args': { type: 'string' },
    'server-cpu': { type: 'string', default: '0' },
    'load-cpu': { type: 'string', default: '1' },
  };
  const { values } = parseArgs({ options: known });
  if (values.help) console.log(HELP);
  else await profile(values);
} catch (error) {
  await closeAll();
  console.error(`profile: ${/** @type {Error} */ (error).message}`);
  process.exitCode = 1;
}

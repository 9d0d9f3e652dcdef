#!/usr/bin/env node
// @ts-check
/** Where a server's time goes under one kind of load: perf over all its threads, folded and summed. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeCorpus } from './corpus.mjs';
import { buildLoad, measure } from './load.mjs';
import { parseOptions, parseSize, UsageError } from './options.mjs';
import { findPeers, repository } from './peers.mjs';
import { closeAll, startPeer, verify } from './site.mjs';

const HELP = `usage: node bench/https/profile.mjs [--peer socrypt] [--load 1m|connect] [options]
  --peer NAME         as in bench:https (socrypt)
  --load SIZE         keep-alive requests for a file of this size (1m), or 'connect' for new connections
  --seconds S         of sampling (5); --warmup S of load before it (1): a JIT takes its time
  --connections N     (16)
  --top N             symbols to show (30)
  --socrypt FILE, --socrypt-args STR, --server-cpu N, --load-cpu N   as in bench:https
Writes folded stacks (for flame graphs) to build/bench/PEER-LOAD.folded. Needs perf (Debian: linux-perf).`;

/** perf script's stacks, one line each: "frame;frame;frame count". @param {string} script */
function fold(script) {
  /** @type {Map<string, number>} */
  const stacks = new Map();
  for (const block of script.split('\n\n')) {
    const [head = '', ...frames] = block.split('\n').filter((line) => line !== '');
    if (frames.length === 0) continue;
    const names = frames.map((line) =>
      line
        .trim()
        .replace(/^[0-9a-f]+ /, '')
        .replace(/\+0x[0-9a-f]+ /, ' '),
    );
    const clean = names.map((name) => name.replace(/ \(([^)]*\/)?([^)]*)\)$/, ' [$2]').replaceAll(';', ':'));
    const command = head.trim().split(/\s+\d+/)[0] ?? '';
    const key = [command, ...clean.reverse()].join(';');
    stacks.set(key, (stacks.get(key) ?? 0) + 1);
  }
  return stacks;
}

/** Samples by a name taken from each stack, highest first. @param {Map<string, number>} stacks @param {(frames: string[]) => string} name */
function rank(stacks, name) {
  /** @type {Map<string, number>} */
  const sums = new Map();
  for (const [stack, count] of stacks) {
    const key = name(stack.split(';'));
    sums.set(key, (sums.get(key) ?? 0) + count);
  }
  return [...sums].sort((a, b) => b[1] - a[1]);
}

/** @param {string} title @param {[string, number][]} ranked @param {number} total @param {number} top */
function print(title, ranked, total, top) {
  console.log(`\n${title}`);
  for (const [name, count] of ranked.slice(0, top)) {
    console.log(`${((100 * count) / total).toFixed(1).padStart(6)} %  ${name}`);
  }
}

const fileOf = (/** @type {string} */ frame) => frame.slice(frame.lastIndexOf(' [') + 2, -1) || 'unknown';
const SYSTEM_CALL = /^(?:__(?:x64|arm64|se)_sys_|__sys_|ksys_)(\w+)/;

/**
 * What user space asked the kernel for, or whose code user space ran. Over loopback the receiver's half of
 * TCP runs inside the sender's system call, as a softirq: it is told apart.
 * @param {string[]} frames
 */
function account(frames) {
  const file = fileOf(frames.at(-1) ?? '');
  if (!file.startsWith('[kernel')) return `user: ${file}`;
  const call = frames.map((frame) => SYSTEM_CALL.exec(frame)?.[1]).find((name) => name !== undefined);
  const softirq = frames.some((frame) => frame.startsWith('handle_softirqs')) ? ', softirq within' : '';
  return `kernel: ${call ?? 'other'}${softirq}`;
}

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
  const script = execFileSync('perf', ['script', '-i', data], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await server.close();
  const stacks = fold(script);
  const folded = join(build, `${peer.name}-${values.load}.folded`);
  writeFileSync(folded, [...stacks].map(([stack, count]) => `${stack} ${count}\n`).join(''));
  const total = [...stacks.values()].reduce((sum, count) => sum + count, 0);
  const rate = `${(result.bodyBytes / 1e9 / result.seconds).toFixed(2)} GB/s, ${Math.round(result.responses / result.seconds)} answers/s`;
  console.log(`${peer.version}, ${values.load}: ${rate}, ${total} samples in ${seconds} s`);
  print(
    'by thread',
    rank(stacks, (frames) => frames[0] ?? ''),
    total,
    12,
  );
  print('by system call, or user code by file', rank(stacks, account), total, 16);
  print(
    'by function (self)',
    rank(stacks, (frames) => frames.at(-1) ?? ''),
    total,
    Number(values.top),
  );
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

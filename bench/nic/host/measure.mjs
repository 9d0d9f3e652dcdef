// @ts-check
/** One peer on one network: started, asked once for what it serves, measured, ended. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processTree, startPinned, stop } from '../../https/process.mjs';
import { printStacks, stacksOf } from '../../https/stacks.mjs';
import { cpuTimes, DEVICE } from './cpu.mjs';
import { HOST_ADDRESS, Network } from './network.mjs';
import { HOST_PORT, lender, METRICS_PORT, PORT } from './peers.mjs';

/** @typedef {{ peer: string, sealer: string | null, loss: number, resync: string, round: number, bytes: number, seconds: number, server: number, device: number, softirq: number, perSegment: number, counts: { sealedAgain: number, sealedToResync: number } | null, wire: Record<string, number> | null }} Sample */
/** @typedef {{ root: string, file: string, digest: string, bytes: number, cert: string, key: string }} Served */
/** @typedef {{ loss: number, resync: string, round: number }} Cell */

const OFTEN_ENOUGH = 200;
/** Of what a client says, when that is text. */
const MOST_OF_TEXT = 1 << 20;

/** @param {string[]} command @returns {Promise<{ code: number | null, out: string, errors: string, digest: string }>} */
function client([file, ...args]) {
  const child = spawn(/** @type {string} */ (file), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const hash = createHash('sha256');
  let out = '';
  let errors = '';
  child.stdout.on('data', (/** @type {Buffer} */ chunk) => {
    hash.update(chunk);
    if (out.length < MOST_OF_TEXT) out += chunk.toString('latin1');
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, errors, digest: hash.digest('hex') }));
  });
}

/** @param {Network} network @param {import('./options.mjs').Options} options */
async function lend(network, options) {
  const running = startPinned([...network.inside('host'), ...lender], options.otherCpu);
  for (let attempt = 0; attempt < OFTEN_ENOUGH && running.running(); ++attempt) {
    const addresses = execFileSync('ip', ['-n', network.host, '-o', 'addr'], { encoding: 'utf8' });
    if (addresses.includes(HOST_PORT) && addresses.includes(HOST_ADDRESS)) return running;
    await sleep(50);
  }
  await stop(running);
  throw new Error(`socrypt nic up did not make its ports. Its last words:\n${running.output().trim()}`);
}

/** Threads of the server's processes: the device's, and the others. @param {number} server */
function threads(server) {
  const all = processTree(server).flatMap((pid) =>
    readdirSync(`/proc/${pid}/task`).map((tid) => ({ pid, tid })),
  );
  const isDevice = (/** @type {{ pid: number, tid: string }} */ { pid, tid }) =>
    readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8').trim() === DEVICE;
  return { device: all.filter(isDevice), others: all.filter((one) => !isDevice(one)) };
}

/** What the device gives the host's TCP: acknowledgements, and what TCP does about them in this context. */
const TO_THE_HOST = /;tun_(get_user|chr_write_iter|sendmsg) /;
/** What it gives the wire; on a veth that is the peer's half of TCP too. */
const TO_THE_WIRE = /;xsk_sendmsg /;

/** Until what it returns is called. @param {number} server @param {number | null} lender @param {string} data */
async function profile(server, lender, data) {
  const all = [server, ...(lender === null ? [] : [lender])].map(threads);
  const tids = [...all.flatMap(({ device }) => device), ...(all[0]?.others ?? [])].map(({ tid }) => tid);
  // cpu-clock: virtual machines often have no hardware counters.
  const perf = spawn(
    'perf',
    ['record', '-q', '-F', '1999', '-e', 'cpu-clock', '-g', '-o', data, '-t', tids.join(',')],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  await sleep(500);
  return async () => {
    const ended = new Promise((resolve) => perf.once('close', resolve));
    perf.kill('SIGINT');
    await ended;
    const stacks = [...stacksOf(data)];
    const ofDevice = stacks.filter(([stack]) => stack.startsWith(`${DEVICE};`));
    printStacks(new Map(stacks.filter((one) => !ofDevice.includes(one))), 30);
    const share = (/** @type {RegExp} */ pattern) => {
      const sum = (/** @type {[string, number][]} */ some) =>
        some.reduce((total, [, count]) => total + count, 0);
      return `${((100 * sum(ofDevice.filter(([stack]) => pattern.test(stack)))) / sum(ofDevice)).toFixed(1)} %`;
    };
    console.log(
      `\nof the device's thread: ${share(TO_THE_HOST)} in what it gives the host's TCP, ${share(TO_THE_WIRE)} in what it gives the wire\n`,
    );
  };
}

/**
 * What the server counted. Throws if another path than the peer's made its records, or files were copied that should not
 * be: what fell back would be measured for what it is not.
 * @param {Network} network @param {import('./peers.mjs').Peer} peer @param {number} bytes
 */
async function counted(network, peer, bytes) {
  const path = peer.path ?? '';
  const { out } = await client([
    ...network.inside('host'),
    ...['curl', '-sS', `http://127.0.0.1:${METRICS_PORT}/metrics`],
  ]);
  const of = (/** @type {string} */ name) => {
    const line = out.split('\n').find((one) => one.startsWith(`socrypt_${name} `));
    return Number(line?.slice(line.indexOf(' ')) ?? 0);
  };
  const records = (/** @type {string} */ by) => of(`tls_records_total{direction="out",path="${by}"}`);
  if (records(path) < bytes / 16384)
    throw new Error(
      `expected at least ${Math.ceil(bytes / 16384)} records by ${path}, but there were ${records(path)}, and ${records('software')} by software`,
    );
  if (peer.zeroCopy && of('zero_copy_bytes_total') < bytes / 2)
    throw new Error(
      `expected ${bytes} bytes of files that are not copied, but there were ${of('zero_copy_bytes_total')}`,
    );
  return {
    sealedAgain: of('nic_tx_tls_retransmitted_bytes_total'),
    sealedToResync: of('nic_tx_tls_resync_bytes_total'),
  };
}

/**
 * @param {import('./peers.mjs').Peer} peer @param {Cell} cell @param {Served} served
 * @param {import('./options.mjs').Options} options @param {(close: () => Promise<void>) => void} closing
 * @returns {Promise<Sample>}
 */
export async function measure(peer, cell, served, options, closing) {
  const directory = mkdtempSync(join(tmpdir(), 'socrypt-bench-nic-'));
  const network = new Network(cell.loss, options.seed + cell.round);
  /** @type {import('../../https/process.mjs').Running[]} */
  const started = [];
  const close = async () => {
    for (const one of started.splice(0).reverse()) await stop(one);
    network.remove();
    rmSync(directory, { recursive: true, force: true });
  };
  closing(close);
  try {
    const device = peer.lent ? await lend(network, options) : null;
    if (device !== null) started.push(device);
    const command = peer.command({ ...served, directory, resync: cell.resync });
    const server = startPinned([...network.inside('host'), ...command], options.serverCpu);
    started.push(server);
    const settled = performance.now() + options.settle * 1000;

    const url = `${peer.scheme}://${HOST_ADDRESS}:${PORT}/${served.file}`;
    const curl = [...network.inside('peer'), 'taskset', '-c', options.otherCpu, 'curl', '-sS', '--insecure'];
    // Not measured: what comes is what was asked for, and all that happens once has happened.
    for (let attempt = 0; ; ++attempt) {
      const first = await client([...curl, url]);
      if (first.code === 0 && first.digest === served.digest) break;
      if (first.code === 0 || attempt === OFTEN_ENOUGH || !server.running())
        throw new Error(
          `${peer.name} did not serve the file: ${first.errors.trim() || 'other bytes than those of the file'}\n${server.output().trim()}`,
        );
      await sleep(50);
    }
    network.setCongestion(HOST_PORT, options.congestion);
    // In a process of the server's it begins where the others are.
    for (const { tid } of threads(server.pid).device)
      execFileSync('taskset', ['-cp', options.otherCpu, tid], { stdio: 'ignore' });
    // V8 collects what a start leaves behind once a process has been at rest for 8 seconds: some 60 ms.
    await sleep(Math.max(0, settled - performance.now()));
    const profiled =
      options.profile === null ? null : await profile(server.pid, device?.pid ?? null, options.profile);
    const each = ['-o', '/dev/null', url];
    const one = [
      ...[...curl, '-w', '%{http_code} %{size_download} %{num_connects}\\n'],
      ...Array.from({ length: options.fetches }, () => each).flat(),
    ];
    const handed = network.handed(HOST_PORT);
    const before = { ...cpuTimes(server.pid, device?.pid ?? null), at: performance.now() };
    const all = await Promise.all(Array.from({ length: options.connections }, () => client(one)));
    const after = { ...cpuTimes(server.pid, device?.pid ?? null), at: performance.now() };
    const { bytes: sent, packets } = network.handed(HOST_PORT);
    await profiled?.();
    for (const { code, out, errors } of all) {
      const lines = out.trim().split('\n');
      if (
        code !== 0 ||
        lines.length !== options.fetches ||
        lines.some((line) => !line.startsWith(`200 ${served.bytes} `))
      )
        throw new Error(
          `${peer.name}: curl ended with ${code}: ${errors.trim()}\n${out}\n${server.output().trim()}`,
        );
    }
    const bytes = served.bytes * options.fetches * options.connections;
    const counts = peer.path === null ? null : await counted(network, peer, bytes + served.bytes);
    return {
      ...{ peer: peer.name, sealer: peer.path, ...cell },
      bytes,
      seconds: (after.at - before.at) / 1000,
      server: after.server - before.server,
      device: after.device - before.device,
      softirq: after.softirq - before.softirq,
      perSegment: (sent - handed.bytes) / (packets - handed.packets),
      counts,
      wire: network.wire(),
    };
  } finally {
    await close();
  }
}

// @ts-check
/** Starting, watching and stopping server processes, and what /proc says about them. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {{ child: import('node:child_process').ChildProcess, pid: number, output: () => string, exited: Promise<void>, running: () => boolean }} Running */

/**
 * Starts `command` pinned to one core (or a list of them, as taskset takes it). It dies with us (PR_SET_PDEATHSIG), whatever ends us, and may have
 * as many descriptors as this machine allows.
 * @param {string[]} command @param {number | string} cpu @param {{ cwd?: string, env?: Record<string, string> }} [more]
 * @returns {Running}
 */
export function startPinned(command, cpu, more = {}) {
  const shell = 'ulimit -n "$(ulimit -Hn)"; exec setpriv --pdeathsig TERM taskset -c "$0" "$@"';
  const child = spawn('bash', ['-c', shell, String(cpu), ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: more.cwd,
    env: { ...process.env, ...more.env },
  });
  let output = '';
  let ended = false;
  const keep = (/** @type {Buffer} */ bytes) => {
    output = (output + bytes).slice(-8192);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  /** @type {Promise<void>} */
  const exited = new Promise((resolve) => {
    const end = () => {
      ended = true;
      resolve();
    };
    child.once('exit', end);
    child.once('error', (error) => {
      output += error.message;
      end();
    });
  });
  return { child, pid: child.pid ?? -1, output: () => output, exited, running: () => !ended };
}

/** TERM, then KILL after three seconds; every process of the tree, by its id. @param {Running} running */
export async function stop(running) {
  if (!running.running()) return;
  const tree = processTree(running.pid);
  running.child.kill('SIGTERM');
  await Promise.race([running.exited, sleep(3000, undefined, { ref: false })]);
  for (const pid of running.running()
    ? tree
    : tree.filter((id) => id !== running.pid && parentOf(id) === 1)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone by itself in the meantime.
    }
  }
  await running.exited;
}

/** @param {string} path */
function readOrEmpty(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** @param {number} pid */
function parentOf(pid) {
  return Number(/^PPid:\s*(\d+)/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? -1);
}

/** A process and everything below it. @param {number} pid @returns {number[]} */
export function processTree(pid) {
  const children = readOrEmpty(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(processTree)];
}

/**
 * Bytes, summed over the processes: private memory now (anonymous and shared-anonymous pages, no page
 * cache), and the peak of the resident set, which includes mapped files.
 * @param {number[]} pids
 */
export function memory(pids) {
  let anonymous = 0;
  let peak = 0;
  for (const pid of pids) {
    const status = readOrEmpty(`/proc/${pid}/status`);
    const field = (/** @type {string} */ name) =>
      Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
    anonymous += (field('RssAnon') + field('RssShmem')) * 1024;
    peak += field('VmHWM') * 1024;
  }
  return { anonymous, peak };
}

/** Seconds since boot that one core spent: in all, idle, stolen by the hypervisor. @param {number} cpu */
export function coreTimes(cpu) {
  const line = new RegExp(`^cpu${cpu} (.*)$`, 'm').exec(readOrEmpty('/proc/stat'))?.[1] ?? '';
  // proc(5): user nice system idle iowait irq softirq steal guest guest_nice, in ticks of 10 ms.
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = line
    .split(' ')
    .map((ticks) => Number(ticks) / 100);
  const busy = user + nice + system + irq + softirq;
  return { total: busy + idle + iowait + steal, busy, softirq, steal };
}

/** File descriptors that a process may have. */
export function descriptorLimit() {
  const hard = /^Max open files\s+\S+\s+(\d+)/m.exec(readOrEmpty('/proc/self/limits'))?.[1];
  return hard === undefined ? Number.POSITIVE_INFINITY : Number(hard);
}

/** A port that was free a moment ago. @returns {Promise<number>} */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}

/** @param {Running} running @param {number} port @param {string} name */
export async function waitForPort(running, port, name) {
  for (let attempt = 0; attempt < 200; ++attempt) {
    if (!running.running()) break;
    const open = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (open) return;
    await sleep(50);
  }
  throw new Error(`${name} did not listen within 10 s. Its last words:\n${running.output().trim()}`);
}

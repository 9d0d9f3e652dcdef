// @ts-check
/** Processor time by thread, as the scheduler counts it: user space, the kernel's work, and softirqs that run in it. */
import { readdirSync, readFileSync } from 'node:fs';
import { processTree } from '../../https/process.mjs';

/** The device's thread (nic/runtime/inline_nic.cc). */
export const DEVICE = 'socrypt-nic';

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/**
 * Seconds of the threads of one process. /proc/PID/task/TID/schedstat has the sum that utime + stime of
 * /proc/PID/task/TID/stat are scaled to (kernel/sched/cputime.c), in nanoseconds instead of 10 ms.
 * @param {number} pid
 */
function ofProcess(pid) {
  let device = 0;
  let rest = 0;
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const seconds = Number(read(`/proc/${pid}/task/${tid}/schedstat`).split(' ')[0]) / 1e9;
    if (read(`/proc/${pid}/task/${tid}/comm`).trim() === DEVICE) device += seconds;
    else rest += seconds;
  }
  return { device, rest };
}

/** Softirqs that nobody's context had room for. */
function ksoftirqd() {
  let seconds = 0;
  for (const tid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    if (read(`/proc/${tid}/comm`).startsWith('ksoftirqd/'))
      seconds += Number(read(`/proc/${tid}/schedstat`).split(' ')[0]) / 1e9;
  return seconds;
}

/**
 * `server`: the server's processes without the device's thread; `device`: that thread, or all of the process that
 * lends the device.
 * @param {number} server @param {number | null} lender
 */
export function cpuTimes(server, lender) {
  const sum = { server: 0, device: 0, softirq: ksoftirqd() };
  for (const pid of processTree(server)) {
    const one = ofProcess(pid);
    sum.server += one.rest;
    sum.device += one.device;
  }
  for (const pid of lender === null ? [] : processTree(lender)) {
    const one = ofProcess(pid);
    sum.device += one.rest + one.device;
  }
  return sum;
}

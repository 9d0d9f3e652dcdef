// @ts-check
/** perf's samples: folded, summed, printed. */
import { execFileSync } from 'node:child_process';

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

/** @param {string} data  what perf record wrote */
export function stacksOf(data) {
  const script = execFileSync('perf', ['script', '-i', data], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return fold(script);
}

/** @param {Map<string, number>} stacks @param {number} top  functions to show */
export function printStacks(stacks, top) {
  const total = [...stacks.values()].reduce((sum, count) => sum + count, 0);
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
    top,
  );
}

/**
 * The real stage: `socrypt serve --offload nic` and its kernel's TCP in one network namespace, curl and openssl in
 * another, and between them a wire with a scenario's faults that compares what goes by (nic/lab/faulty_wire.hpp).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { makeDevelopmentCertificate } from '../control/development-certificate.ts';
import { SocryptError } from '../errors.ts';
import { type NativeLabWire, type NativePlan, native } from '../native.ts';
import { HOST_ADDRESS, Namespaces, whyNoRealStage } from './namespaces.ts';
import { Random } from './random.ts';
import type { Scenario } from './scenario.ts';
import { planOf } from './simulate.ts';

export interface RealOptions {
  readonly seed: number;
  /** Default 0: one transfer by each peer. */
  readonly minutes?: number;
  readonly resync?: string;
  /** Keeps the last 20,000 frames for `pcap`. */
  readonly capture?: boolean;
  readonly signal?: AbortSignal;
}

export interface RealVerdict {
  readonly scenario: string;
  readonly seed: number;
  readonly verdict: 'pass' | 'fail';
  /** Why it failed; '' otherwise. */
  readonly reason: string;
  readonly transfers: number;
  readonly bytes: number;
  readonly seconds: number;
  /** How often the device lost its ports, and another took its place. */
  readonly deaths: number;
  /** Names as in nic/lab/wire_counts.def. */
  readonly counts: Readonly<Record<string, number>>;
  /** What of the scenario this stage does not do. */
  readonly leftOut: readonly string[];
  readonly pcap: Uint8Array | null;
}

const CANARY = 'plaintext-canary';
const FILE = 3_000_000;
const PORT = 8443;
const HOST_PORT = 'socrypt0';
/** Longer than a row of timeouts that chance alone makes. */
const TRANSFER_SECONDS = 120;
/** A device in the place of another is there within a fraction of it. */
const BETWEEN_DEATHS = 1500;
const ON_A_WIRE = ['drop', 'burst', 'duplicate', 'delay', 'reorder', 'corrupt', 'resegment'];
const DEATHS = ['reset', 'die'];

interface RealPlan {
  readonly plan: NativePlan;
  /** Milliseconds between deaths of the device; null: it lives. */
  readonly deaths: number | null;
  readonly leftOut: readonly string[];
}

export function realPlanOf(scenario: Scenario, { seed, resync }: RealOptions): RealPlan {
  const { rules = [], deeds = [], ...plan } = planOf(scenario, { seed, ...(resync && { resync }) });
  const onWire = rules.filter((one) => one.seam !== 'host' && ON_A_WIRE.includes(one.fault));
  const deaths = deeds.filter((one) => DEATHS.includes(one.action));
  const leftOut = [
    ...rules.filter((one) => !onWire.includes(one)).map((one) => `${one.fault} (${one.seam})`),
    ...deeds.filter((one) => !deaths.includes(one)).map((one) => one.action),
  ];
  if (onWire.length + deaths.length === 0)
    throw new SocryptError(
      'ERR_SOCRYPT_LAB_PLAN',
      `The real stage expects faults on the wire (${ON_A_WIRE.join(', ')}) or ends of the device (${DEATHS.join(', ')}), but ${scenario.name} --seed ${seed} has ${leftOut.length === 0 ? 'none at all' : `only ${leftOut.join(', ')}`}; take another one.`,
    );
  return {
    plan: { ...plan, rules: onWire },
    deaths:
      deaths.length === 0
        ? null
        : Math.max(BETWEEN_DEATHS, Math.min(...deaths.map((one) => (one.every ?? one.at ?? 0) / 1000))),
    leftOut: [...new Set(leftOut)],
  };
}

/** The canary, and numbers that tell places apart. */
function content(seed: number): Buffer {
  const lines: string[] = [];
  for (let n = 0, length = 0; length < FILE; n++) {
    const line = `${CANARY} ${seed} ${n}\n`;
    lines.push(line);
    length += line.length;
  }
  return Buffer.from(lines.join('')).subarray(0, FILE);
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

interface Ran {
  readonly code: number | null;
  readonly out: Buffer;
  readonly errors: string;
}

/** One run's processes and files; close() ends and removes all of them. */
class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), 'socrypt-lab-'));
  readonly namespaces = Namespaces.make();
  readonly #children = new Set<ChildProcess>();
  wire: NativeLabWire | undefined;
  errors = '';

  spawn(side: 'host' | 'peer', command: readonly string[], stdin: 'ignore' | 'pipe'): ChildProcess {
    const [file, ...rest] = [...this.namespaces.inside(side), ...command];
    const child = spawn(file!, rest, { stdio: [stdin, 'pipe', 'pipe'] });
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return child;
  }

  /** A program of the peer; `input` is what it gets, and then it is left to end by itself. */
  peer(command: readonly string[], input?: string): Promise<Ran> {
    const child = this.spawn('peer', command, input === undefined ? 'ignore' : 'pipe');
    const late = setTimeout(() => child.kill('SIGKILL'), (TRANSFER_SECONDS + 5) * 1000);
    const chunks: Buffer[] = [];
    let errors = '';
    child.stdout!.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr!.on('data', (chunk) => {
      errors += chunk;
    });
    // Its end is told by `close`, whatever becomes of what it is given.
    child.stdin?.on('error', () => {});
    if (input !== undefined) child.stdin!.write(input);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        clearTimeout(late);
        resolve({ code, out: Buffer.concat(chunks), errors });
      });
    });
  }

  async serve(args: readonly string[]): Promise<void> {
    const main = fileURLToPath(new URL('../cli/main.js', import.meta.url));
    const child = this.spawn('host', [process.execPath, main, 'serve', ...args], 'ignore');
    let banner = '';
    let over = false;
    child.stdout!.on('data', (chunk) => {
      banner += chunk;
    });
    child.stderr!.on('data', (chunk) => {
      this.errors = (this.errors + chunk).slice(-4000);
    });
    child.once('close', () => {
      over = true;
    });
    for (let waited = 0; !/^ *url +https/m.test(banner); waited += 20) {
      if (over || waited > 60_000)
        throw new SocryptError(
          'ERR_SOCRYPT_NIC',
          `The server of the real stage did not begin: ${this.errors}`,
        );
      await pause(20);
    }
  }

  /** Ends what is running; whoever waits for it is told. */
  end(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  async close(): Promise<void> {
    const ended = [...this.#children].map((child) => new Promise((resolve) => child.once('close', resolve)));
    this.end();
    await Promise.all(ended);
    this.wire?.close();
    this.namespaces.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** By a client that shares no code with us; '' or what was wrong. */
async function transfer(stage: Stage, number: number, expected: string, ca: string): Promise<string> {
  const path = '/file.txt';
  const tls12 = number % 4 >= 2;
  if (number % 2 === 0) {
    const { code, out, errors } = await stage.peer([
      ...[
        'curl',
        '-sS',
        '--cacert',
        ca,
        '--max-time',
        `${TRANSFER_SECONDS}`,
        ...(tls12 ? ['--tls-max', '1.2'] : []),
      ],
      ...['--resolve', `localhost:${PORT}:${HOST_ADDRESS}`, `https://localhost:${PORT}${path}`],
    ]);
    if (code !== 0) return `curl ended with ${code} after ${out.length} bytes: ${errors.trim()}`;
    return digest(out) === expected ? '' : `curl got ${out.length} bytes, and others than those of the file`;
  }
  const { code, out, errors } = await stage.peer(
    [
      ...['openssl', 's_client', '-quiet', '-ign_eof', '-connect', `${HOST_ADDRESS}:${PORT}`],
      ...['-servername', 'localhost', '-CAfile', ca, '-verify_return_error', ...(tls12 ? ['-tls1_2'] : [])],
    ],
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
  );
  if (code !== 0) return `openssl ended with ${code} after ${out.length} bytes: ${errors.trim()}`;
  const body = out.subarray(out.indexOf('\r\n\r\n') + 4);
  return digest(body) === expected
    ? ''
    : `openssl got ${body.length} bytes, and others than those of the file`;
}

export async function runReal(scenario: Scenario, options: RealOptions): Promise<RealVerdict> {
  const { seed, minutes = 0, capture = false, signal } = options;
  const { plan, deaths: interval, leftOut } = realPlanOf(scenario, options);
  const missing = whyNoRealStage();
  if (missing !== null)
    throw new SocryptError(
      'ERR_SOCRYPT_NIC_RIGHTS',
      `The real stage cannot be on this machine: ${missing}; the simulated one can (leave out --stage real).`,
    );
  const stage = new Stage();
  let deaths = 0;
  let killer: NodeJS.Timeout | undefined;
  const abort = () => stage.end();
  signal?.addEventListener('abort', abort);
  try {
    const { cert, key } = makeDevelopmentCertificate('laboratory', new Date());
    const write = (name: string, text: string | Uint8Array): string => {
      writeFileSync(join(stage.folder, name), text);
      return join(stage.folder, name);
    };
    mkdirSync(join(stage.folder, 'site'));
    const file = content(seed);
    write('site/file.txt', file);
    const ca = write('cert.pem', cert);
    const expected = digest(file);
    const wire = new native.LabWire(plan, {
      namespace: stage.namespaces.middlePath,
      first: 'x0',
      second: 'x1',
      canary: CANARY,
      capture,
    });
    stage.wire = wire;
    const random = new Random(seed);
    await stage.serve([
      ...[join(stage.folder, 'site'), '--cert', ca, '--key', write('key.pem', key)],
      ...['--offload', 'nic', '--wire', 'w0', '--address', `${HOST_ADDRESS}/24`, '--host-port', HOST_PORT],
      ...['--port', `${PORT}`, '--workers', '1', '--resync', plan.resync ?? 'order-free'],
      ...['--zero-copy', random.one(['guard', 'copy']), '--host-driver', random.one(['tap', 'tap', 'veth'])],
    ]);
    if (interval !== null)
      killer = setInterval(() => {
        if (stage.namespaces.deleteOnHost(HOST_PORT)) deaths++;
      }, interval);
    const started = performance.now();
    const seconds = () => (performance.now() - started) / 1000;
    let transfers = 0;
    let reason = '';
    // Both peers, with both versions, whatever the time.
    while (reason === '' && (transfers < 4 || seconds() < minutes * 60) && !(signal?.aborted ?? false)) {
      reason = await transfer(stage, transfers, expected, ca);
      if (signal?.aborted) reason = '';
      const { finding } = wire.state();
      if (finding !== null) reason = `${finding.invariant}: ${finding.what} (frame ${finding.frame})`;
      if (reason === '') transfers += signal?.aborted ? 0 : 1;
      else if (stage.errors !== '')
        reason += `\n      the server said: ${stage.errors.trim().split('\n').at(-1)}`;
    }
    const took = seconds();
    const { counts } = wire.state();
    const happened = ['dropped', 'duplicated', 'overtaken', 'delayed', 'corrupted', 'resegmented'];
    const faults = happened.reduce((sum, name) => sum + (counts[name] ?? 0), deaths);
    if (reason === '' && transfers > 0 && faults === 0 && (interval === null || took * 1000 > 2 * interval))
      reason = `expected faults, but none happened to ${(counts.framesOut ?? 0) + (counts.framesBack ?? 0)} frames`;
    return {
      scenario: scenario.name,
      seed,
      verdict: reason === '' ? 'pass' : 'fail',
      reason,
      transfers,
      bytes: transfers * FILE,
      seconds: took,
      deaths,
      counts,
      leftOut,
      pcap: capture ? wire.pcap() : null,
    };
  } finally {
    clearInterval(killer);
    signal?.removeEventListener('abort', abort);
    await stage.close();
  }
}

/**
 * A host and a peer in network namespaces of their own, with a wire between them that a third one holds: it loses and
 * reorders from a seed, and knows whether it has seen plaintext.
 *
 *   host [w0] ── [x0] wire [x1] ── [w1] peer
 */
import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../', import.meta.url));
export const tools = `${repository}build/test/`;

/** Builds what the tests take besides the server. */
export function buildTools(): void {
  execFileSync(
    'bash',
    [
      '-c',
      'set -eu; mkdir -p build; source scripts/native-programs.sh; configure build/test; ' +
        'cmake --build build/test -j "$jobs" --target wire sniff dpdk_nic >&2',
    ],
    { cwd: repository, stdio: 'pipe' },
  );
}

/** Why none of this can run here; null: it can. */
export function whyNot(): string | null {
  if (process.getuid?.() !== 0) return 'network namespaces and AF_XDP need root';
  for (const name of ['ip', 'ethtool', 'nsenter', 'curl']) {
    if (spawnSync('which', [name]).status !== 0) return `${name} was not found`;
  }
  const trial = `socrypt-trial-${process.pid}`;
  if (spawnSync('ip', ['netns', 'add', trial]).status !== 0) return 'network namespaces cannot be made';
  spawnSync('ip', ['netns', 'delete', trial]);
  return null;
}

/** Why no DPDK device can be opened; null: it can. */
export const whyNoDpdkPlugin = (): string | null =>
  existsSync(`${repository}build/native/socrypt-nic-dpdk.so`) ? null : 'libdpdk-dev is not installed';

/** Why no wire can be had by DPDK; null: it can. */
export function whyNoDpdk(): string | null {
  const missing = whyNoDpdkPlugin();
  if (missing !== null) return missing;
  const [major, minor] = release().split('.').map(Number);
  // What keeps the kernel's stack off an interface that DPDK has by packet sockets.
  return major! > 6 || (major === 6 && minor! >= 6) ? null : 'Linux 6.6 is needed (tcx)';
}

/** Why no device of this driver of DPDK's can be made (`net_memif`); null: it can. */
export function whyNoDriver(name: string): string | null {
  const folder = spawnSync('pkg-config', ['--variable=libdir', 'libdpdk'], { encoding: 'utf8' });
  const there = folder.status === 0 && existsSync(`${folder.stdout.trim()}/librte_${name}.so`);
  return there ? null : `DPDK's driver ${name} is not installed`;
}

/** Runs a program on one side to its end. */
export function run(
  side: string,
  command: readonly string[],
): Promise<{ code: number; out: Buffer; errors: string }> {
  const [file, ...rest] = [...Network.inside(side), ...command];
  return new Promise((resolve) => {
    execFile(file!, rest, { encoding: 'buffer', maxBuffer: 1 << 26 }, (error, out, errors) =>
      resolve({ code: error === null ? 0 : 1, out, errors: errors.toString() }),
    );
  });
}

/** A tool that answers each line of its input with one of JSON. */
class Tool {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(namespace: string, name: string, args: readonly string[]) {
    this.#child = spawn('nsenter', [`--net=/run/netns/${namespace}`, tools + name, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('the tool has ended');
    return value;
  }
  async ask<T>(): Promise<T> {
    this.#child.stdin!.write('\n');
    return JSON.parse(await this.line()) as T;
  }
  end(): Promise<void> {
    if (this.#child.exitCode !== null) return Promise.resolve();
    const ended = new Promise<void>((resolve) => this.#child.once('close', () => resolve()));
    this.#child.stdin!.end();
    return ended;
  }
}

export interface Faults {
  /** Per mille. */
  readonly loss?: number;
  readonly repeat?: number;
  readonly reorder?: number;
}

export interface Sniffed {
  readonly missed: number;
  readonly interfaces: Readonly<Record<string, { readonly frames: number; readonly found: number }>>;
}

let made = 0;

export class Network {
  readonly host: string;
  readonly peer: string;
  readonly #middle: string;
  #wire: Tool | undefined;
  #sniffer: Tool | undefined;

  private constructor() {
    const name = `n${process.pid}-${made++}`;
    this.host = `${name}h`;
    this.peer = `${name}p`;
    this.#middle = `${name}m`;
  }

  /** `first`: what the wire has on the host's side, if not the interface whose other end is w0 (a DPDK device). */
  static async make(canary: string, faults: Faults = {}, seed = 1, first = 'x0'): Promise<Network> {
    const network = new Network();
    try {
      await network.#build(canary, faults, seed, first);
    } catch (error) {
      await network.remove();
      throw error;
    }
    return network;
  }

  async #build(
    canary: string,
    { loss = 0, repeat = 0, reorder = 0 }: Faults,
    seed: number,
    first: string,
  ): Promise<void> {
    const { host, peer } = this;
    const middle = this.#middle;
    for (const name of [host, peer, middle]) {
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    ip('-n', middle, 'link', 'add', 'x0', 'type', 'veth', 'peer', 'name', 'w0', 'netns', host);
    ip('-n', middle, 'link', 'add', 'x1', 'type', 'veth', 'peer', 'name', 'w1', 'netns', peer);
    for (const [name, link] of [
      [middle, 'x0'],
      [middle, 'x1'],
      [host, 'w0'],
      [peer, 'w1'],
    ] as const)
      ip('-n', name, 'link', 'set', link, 'up');
    ip('-n', peer, 'addr', 'add', '10.9.0.2/24', 'dev', 'w1');
    ip('-n', peer, 'addr', 'add', 'fd09::2/64', 'dev', 'w1', 'nodad');
    // A veth leaves checksums to a card that it is not.
    execFileSync('nsenter', [`--net=/run/netns/${peer}`, 'ethtool', '-K', 'w1', 'tx', 'off'], {
      stdio: 'ignore',
    });
    const rates = [loss, repeat, reorder].map(String);
    this.#wire = new Tool(middle, 'wire', [first, 'x1', canary, String(seed), ...rates]);
    await this.#wire.line();
    this.#sniffer = new Tool(host, 'sniff', [canary]);
    await this.#sniffer.line();
  }

  /** Words before a command that is to run on one side. */
  static inside = (namespace: string): string[] => ['nsenter', `--net=/run/netns/${namespace}`];

  onHost(...args: string[]): void {
    ip('-n', this.host, ...args);
  }
  wire(): Promise<{ frames: number; lost: number; canaries: number }> {
    return this.#wire!.ask();
  }
  /** What a sniffer on the host has seen of the canary, by interface. */
  async sniffed(): Promise<Sniffed> {
    return this.#sniffer!.ask<Sniffed>();
  }

  async remove(): Promise<void> {
    await Promise.all([this.#wire?.end(), this.#sniffer?.end()]);
    for (const name of [this.host, this.peer, this.#middle]) spawnSync('ip', ['netns', 'delete', name]);
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

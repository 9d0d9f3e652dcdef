/**
 * Three network namespaces of the real stage, and what is in them:
 *
 *   host [w0] ── [x0] middle [x1] ── [w1] peer
 *
 * and in the host's a pair of interfaces by which frames are taken aside between TCP and the device.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { missingHere } from '../nic/capabilities.ts';

export const HOST_ADDRESS = '10.9.0.1';
export const ASIDE = { via: 'h0', from: 'h1' } as const;
const PREFIX = 'socrypt-lab-';
const PATHS = '/run/netns/';
/** What nic/lab/faulty_wire.cc joins at most. */
const JOINED_MTU = 3000;

/** Why there is no real stage on this machine; null: there is. */
export function whyNoRealStage(): string | null {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const missing = missingHere();
  if (missing.length !== 0) return missing.map((one) => `${one.name} is missing (${one.for})`).join(', ');
  for (const name of ['ip', 'ss', 'ethtool', 'nsenter', 'curl', 'openssl'])
    if (spawnSync('which', [name], { stdio: 'ignore' }).status !== 0) return `${name} was not found`;
  const trial = `${PREFIX}${process.pid}t`;
  if (spawnSync('ip', ['netns', 'add', trial], { stdio: 'ignore' }).status !== 0)
    return 'network namespaces cannot be made';
  spawnSync('ip', ['netns', 'delete', trial], { stdio: 'ignore' });
  return null;
}

const ip = (...args: string[]): void => {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
};

let made = 0;

export class Namespaces {
  readonly host: string;
  readonly peer: string;
  readonly middle: string;

  private constructor() {
    const name = `${PREFIX}${process.pid}-${made++}`;
    this.host = `${name}h`;
    this.peer = `${name}p`;
    this.middle = `${name}m`;
  }

  static make(): Namespaces {
    removeAbandoned();
    const all = new Namespaces();
    try {
      all.#build();
    } catch (error) {
      all.remove();
      throw error;
    }
    return all;
  }

  #build(): void {
    const { host, peer, middle } = this;
    for (const name of [host, peer, middle]) {
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    for (const [end, far, space] of [
      ['x0', 'w0', host],
      ['x1', 'w1', peer],
    ] as const) {
      ip('-n', middle, 'link', 'add', end, 'type', 'veth', 'peer', 'name', far, 'netns', space);
      ip('-n', middle, 'link', 'set', end, 'up');
      ip('-n', space, 'link', 'set', far, 'up');
    }
    ip('-n', host, 'link', 'add', ASIDE.via, 'type', 'veth', 'peer', 'name', ASIDE.from);
    for (const end of [ASIDE.via, ASIDE.from]) {
      // Of its own it says nothing.
      this.#write('host', `/proc/sys/net/ipv6/conf/${end}/disable_ipv6`, '1');
      ip('-n', host, 'link', 'set', end, 'arp', 'off', 'mtu', '9000', 'up');
    }
    ip('-n', peer, 'addr', 'add', '10.9.0.2/24', 'dev', 'w1');
    // Room for two frames that the wire joins; the host's own size is what it sends.
    ip('-n', middle, 'link', 'set', 'x1', 'mtu', `${JOINED_MTU}`);
    ip('-n', peer, 'link', 'set', 'w1', 'mtu', `${JOINED_MTU}`);
    // A veth leaves checksums to a card that it is not.
    const [nsenter, ...rest] = this.inside('peer');
    execFileSync(nsenter!, [...rest, 'ethtool', '-K', 'w1', 'tx', 'off'], { stdio: 'ignore' });
  }

  /** Words before a command that is to run on one side. */
  inside(side: 'host' | 'peer'): string[] {
    return ['nsenter', `--net=${PATHS}${this[side]}`];
  }
  /** As paths, for whoever enters them by itself. */
  get middlePath(): string {
    return PATHS + this.middle;
  }
  get hostPath(): string {
    return PATHS + this.host;
  }
  /** What a device has its host port by goes; false: it was not there. */
  deleteOnHost(link: string): boolean {
    return spawnSync('ip', ['-n', this.host, 'link', 'delete', link], { stdio: 'ignore' }).status === 0;
  }

  /** What the host has learned of paths (ip-route(8)). */
  forgetPaths(): void {
    spawn('ip', ['-n', this.host, 'route', 'flush', 'cache'], { stdio: 'ignore' });
  }
  /** Bytes that the peer's TCP takes before they are read (tcp(7), tcp_rmem); null: as it is. */
  setReceiveBuffer(bytes: number | null): void {
    if (bytes === null) return;
    const size = Math.max(8192, bytes);
    this.#write('peer', '/proc/sys/net/ipv4/tcp_rmem', `4096 ${Math.min(size, 131_072)} ${size}`);
  }

  /** What is below /proc/sys/net is that of the namespace of who opens it. */
  #write(side: 'host' | 'peer', file: string, text: string): void {
    const [nsenter, ...rest] = this.inside(side);
    execFileSync(nsenter!, [...rest, 'sh', '-c', `test ! -e ${file} || echo ${text} > ${file}`]);
  }

  remove(): void {
    for (const name of [this.host, this.peer, this.middle])
      spawnSync('ip', ['netns', 'delete', name], { stdio: 'ignore' });
  }
}

/** Of processes that ended before they could remove them. */
function removeAbandoned(): void {
  const { stdout } = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  for (const [name, pid] of stdout.matchAll(/^socrypt-lab-(\d+)-\d+[hpm]/gm)) {
    try {
      process.kill(Number(pid), 0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') continue;
      // The server in it knows nothing of whoever began it.
      const inside = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).stdout.match(/\d+/g);
      if (inside !== null) spawnSync('kill', ['-KILL', ...inside], { stdio: 'ignore' });
      spawnSync('ip', ['netns', 'delete', name], { stdio: 'ignore' });
    }
  }
}

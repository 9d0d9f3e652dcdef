// @ts-check
/**
 * A host and a peer in network namespaces of their own. Without loss a veth joins them; with it the laboratory's wire
 * (nic/lab/faulty_wire.hpp) stands between, in a thread of this process:
 *
 *   host [w0] ── [w1] peer          host [w0] ── [x0] middle [x1] ── [w1] peer
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { native } from '../../../dist/native.js';

export const HOST_ADDRESS = '10.9.0.1';
const PREFIX = 'socrypt-bench-';

/** @param {string[]} args */
const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });

/** Why there can be none here; null: there can. */
export function whyNot() {
  if (process.getuid?.() !== 0) return 'network namespaces and AF_XDP need root';
  for (const name of ['ip', 'ethtool', 'nsenter', 'curl', 'openssl'])
    if (spawnSync('which', [name]).status !== 0) return `${name} was not found`;
  return null;
}

/** Those whose process is gone, and whoever is left in them. */
function removeAbandoned() {
  const { stdout } = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  for (const [name, pid] of (stdout ?? '').matchAll(/^socrypt-bench-(\d+)[hpm]/gm)) {
    try {
      process.kill(Number(pid), 0);
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ESRCH') continue;
      const inside = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).stdout.match(/\d+/g);
      if (inside !== null) spawnSync('kill', ['-KILL', ...inside], { stdio: 'ignore' });
      spawnSync('ip', ['netns', 'delete', name], { stdio: 'ignore' });
    }
  }
}

export class Network {
  host = `${PREFIX}${process.pid}h`;
  peer = `${PREFIX}${process.pid}p`;
  #middle = `${PREFIX}${process.pid}m`;
  /** @type {import('../../../dist/native.js').NativeLabWire | undefined} */
  #wire;

  /** @param {number} loss  percent of the frames to the peer @param {number} seed */
  constructor(loss, seed) {
    removeAbandoned();
    try {
      this.#build(loss, seed);
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** @param {number} loss @param {number} seed */
  #build(loss, seed) {
    const { host, peer } = this;
    const middle = this.#middle;
    for (const name of loss > 0 ? [host, peer, middle] : [host, peer]) {
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    if (loss > 0) {
      ip('-n', middle, 'link', 'add', 'x0', 'type', 'veth', 'peer', 'name', 'w0', 'netns', host);
      ip('-n', middle, 'link', 'add', 'x1', 'type', 'veth', 'peer', 'name', 'w1', 'netns', peer);
      for (const link of ['x0', 'x1']) ip('-n', middle, 'link', 'set', link, 'up');
    } else {
      ip('-n', host, 'link', 'add', 'w0', 'type', 'veth', 'peer', 'name', 'w1', 'netns', peer);
    }
    ip('-n', host, 'link', 'set', 'w0', 'up');
    ip('-n', peer, 'link', 'set', 'w1', 'up');
    ip('-n', peer, 'addr', 'add', '10.9.0.2/24', 'dev', 'w1');
    // A veth leaves checksums to a card that it is not.
    const [nsenter, ...into] = this.inside('peer');
    execFileSync(nsenter, [...into, 'ethtool', '-K', 'w1', 'tx', 'off'], { stdio: 'ignore' });
    if (loss === 0) return;
    const rule = { seam: 'out', fault: 'drop', perMillion: Math.round(loss * 10_000), amount: 0 };
    this.#wire = new native.LabWire(
      { seed, rules: [rule], deeds: [] },
      {
        namespace: `/run/netns/${middle}`,
        first: 'x0',
        second: 'x1',
        canary: 'plaintext-canary',
        capture: false,
      },
    );
  }

  /**
   * Of connections that begin from now on. As the route's, because a namespace's default may only be one that this
   * machine allows to everybody (tcp_allowed_congestion_control).
   * @param {string} hostPort @param {string} congestion
   */
  setCongestion(hostPort, congestion) {
    const route = ['10.9.0.0/24', 'dev', hostPort, 'proto', 'kernel', 'scope', 'link', 'src', HOST_ADDRESS];
    ip('-n', this.host, 'route', 'change', ...route, 'congctl', congestion);
  }

  /** What the host's TCP has handed to the device so far: a packet is what one segment is before it is cut. @param {string} hostPort */
  handed(hostPort) {
    const stats = execFileSync('ip', ['-n', this.host, '-s', '-j', 'link', 'show', hostPort], {
      encoding: 'utf8',
    });
    const { bytes, packets } = JSON.parse(stats)[0].stats64.tx;
    return { bytes, packets };
  }

  /** Words before a command that is to run on one side. @param {'host' | 'peer'} side @returns {[string, string]} */
  inside(side) {
    return ['nsenter', `--net=/run/netns/${this[side]}`];
  }

  /** What the wire has done and seen; null without one. Throws when it has seen what must not be. */
  wire() {
    if (this.#wire === undefined) return null;
    const { counts, finding } = this.#wire.state();
    if (finding !== null)
      throw new Error(`the wire found ${finding.invariant}: ${finding.what} (frame ${finding.frame})`);
    return counts;
  }

  remove() {
    this.#wire?.close();
    for (const name of [this.host, this.peer, this.#middle])
      spawnSync('ip', ['netns', 'delete', name], { stdio: 'ignore' });
  }
}

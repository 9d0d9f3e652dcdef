// @ts-check
/** Command line of bench:https. */
import { parseArgs } from 'node:util';

const ACCELERATED = ['socrypt-soft', 'socrypt-thread', 'socrypt-dpdk'];
export const KNOWN_PEERS = ['nginx', 'nginx-ktls', 'h2o', 'bun', 'node', 'socrypt', ...ACCELERATED];
const UNITS = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

export const HELP = `usage: npm run bench:https -- [options]
  --peers LIST        of ${KNOWN_PEERS.filter((peer) => !ACCELERATED.includes(peer)).join(', ')} (default: all that this machine has),
                      and socrypt with its records by a driver of the crypto framework: ${ACCELERATED.join(', ')}
  --sizes LIST        file sizes over keep-alive: 1k,16k,100k,1m,10m,100m (default); '' for none
  --no-connect        leave out new connections (one request each, full handshake)
  --idle N            idle keep-alive connections to hold for the memory figure (10000; 0: leave out)
  --seconds S         measured time of one cell (3); --warmup S before it (0.5)
  --rounds N          every peer once per round, in turn; the median of the rounds counts (3)
  --connections N     at once, for every cell (default: 64 up to 16 KB, 16 up to 1 MB, 8 above; 32 when new)
  --group NAME        key exchange: X25519 (default) or P-256
  --congestion NAME   TCP congestion control for all servers and the load alike (cubic), in a network namespace
                      made for the run (as root); 'system': the machine's own, in place
  --quick             1 second, 1 round, sizes 1k,1m, 1000 idle connections
  --server-cpu N, --load-cpu N   cores (0, 1)
  --socrypt FILE      the socrypt command line to measure (dist/cli/main.js)
  --socrypt-args STR  more arguments for 'socrypt serve', separated by spaces
  --install           first install what is missing: Debian packages (as root), npm peers into build/bench-peers
  --json FILE         where the full results go (build/bench/https-DATE.json)
  --help`;

/** @typedef {{ name: string, bytes: number }} FileSize */
/**
 * @typedef {object} Options
 * @property {string[] | null} peers  null: whatever is there
 * @property {FileSize[]} sizes
 * @property {boolean} connect
 * @property {number} idle
 * @property {number} seconds
 * @property {number} warmup
 * @property {number} rounds
 * @property {number | null} connections
 * @property {string} group
 * @property {string} congestion
 * @property {number} serverCpu
 * @property {number} loadCpu
 * @property {string} socrypt
 * @property {string[]} socryptArgs
 * @property {boolean} install
 * @property {string | null} json
 */

export class UsageError extends Error {}

/** @param {string} text @returns {FileSize} */
export function parseSize(text) {
  const match = /^(\d+)([bkmg]?)$/i.exec(text);
  if (!match) throw new UsageError(`--sizes expects sizes such as 1k or 10m but received '${text}'`);
  const unit = /** @type {keyof typeof UNITS} */ ((match[2] || 'b').toLowerCase());
  return { name: `${match[1]}${unit}`, bytes: Number(match[1]) * UNITS[unit] };
}

/** @param {string} name @param {string | undefined} text @param {number} otherwise @param {number} least */
export function number(name, text, otherwise, least) {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (text === '' || !Number.isFinite(value) || value < least) {
    throw new UsageError(`--${name} expects a number of at least ${least} but received '${text}'`);
  }
  return value;
}

/** @param {string} list */
export const items = (list) => list.split(',').filter((item) => item !== '');

/** @param {string[]} argv @returns {Options | 'help'} */
export function parseOptions(argv) {
  /** @type {Record<string, { type: 'string' | 'boolean' }>} */
  const known = { help: { type: 'boolean' } };
  for (const name of ['quick', 'install', 'no-connect']) known[name] = { type: 'boolean' };
  for (const name of [
    'peers',
    'sizes',
    'idle',
    'seconds',
    'warmup',
    'rounds',
    'connections',
    'group',
    'congestion',
    'json',
  ]) {
    known[name] = { type: 'string' };
  }
  for (const name of ['server-cpu', 'load-cpu', 'socrypt', 'socrypt-args']) known[name] = { type: 'string' };
  /** @type {Record<string, any>} */
  let values;
  try {
    values = parseArgs({ args: argv, options: known, strict: true }).values;
  } catch (error) {
    throw new UsageError(/** @type {Error} */ (error).message);
  }
  if (values.help) return 'help';
  const quick = values.quick === true;
  const peers = values.peers === undefined ? null : items(values.peers);
  for (const peer of peers ?? []) {
    if (!KNOWN_PEERS.includes(peer)) {
      throw new UsageError(`--peers expects names of ${KNOWN_PEERS.join(', ')} but received '${peer}'`);
    }
  }
  const group = values.group ?? 'X25519';
  if (!['X25519', 'P-256'].includes(group)) {
    throw new UsageError(`--group expects X25519 or P-256 but received '${group}'`);
  }
  return {
    peers,
    sizes: items(values.sizes ?? (quick ? '1k,1m' : '1k,16k,100k,1m,10m,100m')).map(parseSize),
    connect: values['no-connect'] !== true,
    idle: number('idle', values.idle, quick ? 1000 : 10_000, 0),
    seconds: number('seconds', values.seconds, quick ? 1 : 3, 0.2),
    warmup: number('warmup', values.warmup, quick ? 0.3 : 0.5, 0),
    rounds: number('rounds', values.rounds, quick ? 1 : 3, 1),
    connections: values.connections === undefined ? null : number('connections', values.connections, 0, 1),
    group,
    congestion: values.congestion ?? 'cubic',
    serverCpu: number('server-cpu', values['server-cpu'], 0, 0),
    loadCpu: number('load-cpu', values['load-cpu'], 1, 0),
    socrypt: values.socrypt ?? 'dist/cli/main.js',
    socryptArgs: (values['socrypt-args'] ?? '')
      .split(' ')
      .filter((/** @type {string} */ part) => part !== ''),
    install: values.install === true,
    json: values.json ?? null,
  };
}

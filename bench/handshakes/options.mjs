// @ts-check
/** Command line of bench:handshakes. */
import { parseArgs } from 'node:util';
import { items, number, UsageError } from '../https/options.mjs';

export const KNOWN_PEERS = ['nginx', 'bun', 'node', 's_server', 'socrypt'];
const VERSIONS = ['1.3', '1.2'];
const KEYS = ['P-256', 'RSA-2048'];
const KINDS = ['full', 'resumed'];

export const HELP = `usage: npm run bench:handshakes -- [options]
  --peers LIST        of ${KNOWN_PEERS.join(', ')} (default: all that this machine has)
  --tls LIST          protocol versions: 1.3,1.2 (default)
  --keys LIST         certificates: P-256,RSA-2048 (default)
  --kinds LIST        full,resumed (default)
  --seconds S         measured time of one cell (2); --warmup S before it (0.5)
  --settle S          of load on every server after its start (6): compilers of JavaScript take their time
  --rounds N          every peer once per round, in turn; the median of the rounds counts (3)
  --connections N     at once (32)
  --group NAME        key exchange: X25519 (default) or P-256
  --congestion NAME   as bench:https (cubic)
  --quick             1 second, 1 round
  --server-cpu N, --load-cpu N   cores (0, 1)
  --socrypt FILE      the socrypt command line to measure (dist/cli/main.js)
  --socrypt-args STR  more arguments for 'socrypt serve', separated by spaces
  --json FILE         where the full results go (build/bench/handshakes-DATE.json)
  --help
Servers that are missing are had by 'npm run bench:https -- --install'.`;

/**
 * @typedef {object} Options
 * @property {string[]} peers
 * @property {string[]} tls
 * @property {('P-256' | 'RSA-2048')[]} keys
 * @property {string[]} kinds
 * @property {number} seconds
 * @property {number} warmup
 * @property {number} settle
 * @property {number} rounds
 * @property {number} connections
 * @property {string} group
 * @property {string} congestion
 * @property {number} serverCpu
 * @property {number} loadCpu
 * @property {string} socrypt
 * @property {string[]} socryptArgs
 * @property {string | null} json
 */

/** @param {string} name @param {string | undefined} text @param {string[]} known */
function list(name, text, known) {
  const chosen = items(text ?? known.join(','));
  for (const item of chosen) {
    if (!known.includes(item))
      throw new UsageError(`--${name} expects some of ${known.join(', ')} but received '${item}'`);
  }
  return chosen;
}

/** @param {string[]} argv @returns {Options | 'help'} */
export function parseOptions(argv) {
  const flags = ['help', 'quick'];
  const texts = ['peers', 'tls', 'keys', 'kinds', 'seconds', 'warmup', 'rounds', 'connections', 'group'];
  texts.push('settle', 'congestion', 'server-cpu', 'load-cpu', 'socrypt', 'socrypt-args', 'json');
  const known = Object.fromEntries([
    ...flags.map((name) => [name, { type: /** @type {const} */ ('boolean') }]),
    ...texts.map((name) => [name, { type: /** @type {const} */ ('string') }]),
  ]);
  /** @type {Record<string, any>} */
  let values;
  try {
    values = parseArgs({ args: argv, options: known, strict: true }).values;
  } catch (error) {
    throw new UsageError(/** @type {Error} */ (error).message);
  }
  if (values.help) return 'help';
  const quick = values.quick === true;
  const group = values.group ?? 'X25519';
  if (!['X25519', 'P-256'].includes(group))
    throw new UsageError(`--group expects X25519 or P-256 but received '${group}'`);
  return {
    peers: list('peers', values.peers, KNOWN_PEERS),
    tls: list('tls', values.tls, VERSIONS),
    keys: /** @type {Options['keys']} */ (list('keys', values.keys, KEYS)),
    kinds: list('kinds', values.kinds, KINDS),
    seconds: number('seconds', values.seconds, quick ? 1 : 2, 0.2),
    warmup: number('warmup', values.warmup, quick ? 0.3 : 0.5, 0),
    settle: number('settle', values.settle, quick ? 2 : 6, 0),
    rounds: number('rounds', values.rounds, quick ? 1 : 3, 1),
    connections: number('connections', values.connections, 32, 1),
    group,
    congestion: values.congestion ?? 'cubic',
    serverCpu: number('server-cpu', values['server-cpu'], 0, 0),
    loadCpu: number('load-cpu', values['load-cpu'], 1, 0),
    socrypt: values.socrypt ?? 'dist/cli/main.js',
    socryptArgs: (values['socrypt-args'] ?? '').split(' ').filter(Boolean),
    json: values.json ?? null,
  };
}

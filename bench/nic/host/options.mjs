// @ts-check
/** Command line of bench:nic:host. */
import { parseArgs } from 'node:util';
import { items, number, UsageError } from '../../https/options.mjs';
import { peers } from './peers.mjs';

const NAMES = peers.map((peer) => peer.name);
const RESYNCS = ['order-free', 'prefix-replay', 'next-record'];

export const HELP = `usage: npm run bench:nic:host -- [options]     (as root)
  --peers LIST        of ${NAMES.join(', ')} (default: all that are there)
  --bytes N           of the file that is fetched, in MB (100)
  --fetches N         of it in one measurement, on one connection, after one that is not measured (10)
  --connections N     at once, each with its own fetches (1)
  --settle N          seconds from a server's start to its measurement: what happens once, has happened (10)
  --rounds N          every peer once per round, in turn; the median of the rounds counts (5)
  --loss LIST         percent of the frames to the peer that the wire loses, one table each (0)
  --resync LIST       of ${RESYNCS.join(', ')}: how the device seals what comes again (order-free)
  --seed N            of the losses (1)
  --congestion NAME   TCP congestion control of the servers (cubic)
  --server-cpu LIST   cores of the server's threads (0)
  --other-cpu LIST    cores of the device's thread and of the client (1)
  --profile FILE      perf's samples of the last server's threads but the device's, and where their time goes
  --json FILE         where every measurement goes, besides the table
  --help`;

/** @typedef {{ peers: import('./peers.mjs').Peer[], bytes: number, fetches: number, connections: number, settle: number, rounds: number, loss: number[], resync: string[], seed: number, congestion: string, serverCpu: string, otherCpu: string, profile: string | null, json: string | null }} Options */

/** @param {string} name @param {string[]} given @param {string[]} known */
function known(name, given, known) {
  for (const one of given)
    if (!known.includes(one))
      throw new UsageError(`--${name} expects names of ${known.join(', ')} but received '${one}'`);
  if (given.length === 0) throw new UsageError(`--${name} expects at least one name but received none`);
  return given;
}

/** @param {string[]} argv @returns {Options | 'help'} */
export function parseOptions(argv) {
  /** @type {Record<string, { type: 'string' | 'boolean' }>} */
  const flags = { help: { type: 'boolean' } };
  const texts = ['peers', 'bytes', 'fetches', 'connections', 'settle', 'rounds', 'loss', 'resync', 'seed'];
  for (const name of [...texts, 'congestion', 'server-cpu', 'other-cpu', 'profile', 'json'])
    flags[name] = { type: 'string' };
  /** @type {Record<string, any>} */
  let values;
  try {
    values = parseArgs({ args: argv, options: flags, strict: true }).values;
  } catch (error) {
    throw new UsageError(/** @type {Error} */ (error).message);
  }
  if (values.help) return 'help';
  const wanted = values.peers === undefined ? NAMES : known('peers', items(values.peers), NAMES);
  const loss = items(values.loss ?? '0').map((one) => number('loss', one, 0, 0));
  if (loss.some((one) => one > 50)) throw new UsageError(`--loss expects at most 50 percent`);
  const congestion = values.congestion ?? 'cubic';
  if (!/^\w+$/.test(congestion))
    throw new UsageError(`--congestion expects a name but received '${congestion}'`);
  return {
    peers: peers.filter((peer) => wanted.includes(peer.name)),
    bytes: Math.round(number('bytes', values.bytes, 100, 0.1) * 1e6),
    fetches: Math.round(number('fetches', values.fetches, 10, 1)),
    connections: Math.round(number('connections', values.connections, 1, 1)),
    settle: number('settle', values.settle, 10, 0),
    rounds: Math.round(number('rounds', values.rounds, 5, 1)),
    loss,
    resync: known('resync', items(values.resync ?? 'order-free'), RESYNCS),
    seed: Math.round(number('seed', values.seed, 1, 0)),
    congestion,
    serverCpu: values['server-cpu'] ?? '0',
    otherCpu: values['other-cpu'] ?? '1',
    profile: values.profile ?? null,
    json: values.json ?? null,
  };
}

/** Where the server listens, and the threads that serve. */
import { availableParallelism } from 'node:os';
import { driverNamed, RECORD_DRIVER_FORMS } from '../../ocf/driver-names.ts';
import { count, custom, duration, INVALID, optionalPort, optionalText, port, text } from '../option.ts';
import { DAY, HOST } from './kinds.ts';

const PATHS = new Set(['auto', 'software', 'nic', 'accelerator']);
const DRIVER = 'accelerator:';
const isOffload = (input: string): boolean =>
  PATHS.has(input) || (input.startsWith(DRIVER) && driverNamed(input.slice(DRIVER.length)) !== undefined);

/**
 * Half as many as engines: a handshake costs JavaScript about as much as it costs its engine. On one CPU a second thread
 * would only be one more to switch to. None from source (tests), where a worker could not load its TypeScript.
 */
function defaultControlWorkers(): number {
  const cpus = Math.min(availableParallelism(), 256);
  return cpus === 1 || import.meta.url.endsWith('.ts') ? 0 : Math.ceil(cpus / 2);
}

export const LISTEN = {
  /** The directory to serve. */
  root: text(
    {
      group: 'listen',
      help: 'The directory to serve; on the command line the argument after `serve`',
      default: '.',
      reload: true,
    },
    { placeholder: 'DIR', expected: 'a path of a directory', example: './public' },
  ),
  /** Address to listen on. */
  host: text(
    {
      group: 'listen',
      help: 'Address to listen on; only this machine can connect unless it is given',
      default: '127.0.0.1',
    },
    HOST,
  ),
  /** TCP port of HTTPS; 0: any free one. */
  port: port({ group: 'listen', help: 'Port of HTTPS; 0 takes a free one', default: 8443 }),
  /** Engines: native threads that serve. */
  workers: count({
    group: 'listen',
    help: 'Engines: native threads that accept, encrypt and send',
    default: () => Math.min(availableParallelism(), 256),
    defaultText: 'number of CPUs',
    min: 1,
    max: 256,
  }),
  /** Threads that do handshakes; 0: the main thread does. */
  controlWorkers: count({
    group: 'listen',
    help: 'Threads that do handshakes, at most one per engine; 0: the main thread does them',
    default: defaultControlWorkers,
    defaultText: 'half the number of CPUs, 0 with one',
    min: 0,
    max: 256,
  }),
  /** Who encrypts records. */
  offload: custom<string>(
    {
      group: 'listen',
      help: 'Who encrypts records: the best path that works here, always software, an inline NIC (see below), or a driver of the crypto framework',
      default: 'auto',
    },
    {
      expected: `auto, software, nic, or accelerator, alone or with one of the drivers ${RECORD_DRIVER_FORMS}, as in accelerator:thread`,
      placeholder: 'auto|software|nic|accelerator[:DRIVER]',
      example: 'accelerator:thread',
      read: (input) => (typeof input === 'string' && isOffload(input) ? input : INVALID),
    },
  ),
  /** Records of a connection that an accelerator has at once. */
  offloadRecords: count({
    group: 'listen',
    help: 'Records of one connection and direction that an accelerator has at once, at most',
    default: 32,
    min: 1,
    max: 256,
  }),
  /** Every n-th record of an accelerator is made again by software and compared; 0: none is. */
  offloadCheck: count({
    group: 'listen',
    help: 'Every N-th record of an accelerator is made again by software and compared before it is used; 1: each; 0: none',
    default: 0,
    min: 0,
    max: 1_000_000,
  }),
  /** Port of a plain HTTP listener that redirects to HTTPS. */
  redirectPort: optionalPort({
    group: 'listen',
    help: 'Port of a plain HTTP listener that redirects to HTTPS',
    default: null,
  }),
  /** Address of the redirect listener; null: that of `host`. */
  redirectHost: optionalText(
    {
      group: 'listen',
      help: 'Address of the redirect listener',
      default: null,
      defaultText: 'that of `host`',
    },
    HOST,
  ),
  /** How long open transfers may take to end after close() or SIGTERM, ms. */
  drainTimeout: duration({
    group: 'listen',
    help: 'How long open transfers may take to end at a shutdown',
    default: 30_000,
    min: 0,
    max: DAY,
    reload: true,
  }),
};

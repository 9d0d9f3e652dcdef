/** What a peer may make the server hold, and for how long. */
import { count, duration, optionalText, size } from '../option.ts';
import { DAY, GI, HOUR, KI, MI } from './kinds.ts';

export const LIMITS = {
  /** Connections at once, all engines together; more are refused and counted. */
  maxConnections: count({
    group: 'limits',
    help: 'Connections at once, all engines together; more are refused and counted',
    default: 10_000,
    min: 1,
    max: 10_000_000,
  }),
  /** Connections that the kernel holds until they are accepted. */
  backlog: count({
    group: 'limits',
    help: 'Connections that the kernel holds until they are accepted, per engine',
    default: 1024,
    min: 1,
    max: 65_535,
  }),
  /** TCP congestion control of the connections; null: the system's. */
  congestionControl: optionalText(
    {
      group: 'limits',
      help: "TCP congestion control of the connections; without it the system's",
      default: null,
    },
    {
      placeholder: 'NAME',
      expected: 'the name of a congestion control, or off',
      example: 'cubic',
      pattern: /^[a-z0-9_-]{1,15}$/,
    },
  ),
  /** Bytes a client may send in its handshake. */
  maxHandshakeBytes: size({
    group: 'limits',
    help: 'Bytes a client may send in its handshake',
    default: 64 * KI,
    min: KI,
    max: MI,
  }),
  /** From accept to the end of the handshake, ms. */
  handshakeTimeout: duration({
    group: 'limits',
    help: 'From accept to the end of the handshake',
    default: 10_000,
    min: 10,
    max: HOUR,
  }),
  /** From the first byte of a request to the end of its head, ms. */
  headerTimeout: duration({
    group: 'limits',
    help: 'From the start of a request to the end of its head; then 408',
    default: 10_000,
    min: 10,
    max: HOUR,
  }),
  /** Between two requests, ms. */
  keepAliveTimeout: duration({
    group: 'limits',
    help: 'Between two requests on a connection',
    default: 60_000,
    min: 10,
    max: DAY,
  }),
  /** Without any progress of a response, ms. */
  writeTimeout: duration({
    group: 'limits',
    help: 'Without any progress of a response',
    default: 60_000,
    min: 10,
    max: DAY,
  }),
  /** Bytes of a request's head; more is 431. */
  maxHeaderBytes: size({
    group: 'limits',
    help: "Bytes of a request's head; more gets 431",
    default: 16 * KI,
    min: 512,
    max: MI,
  }),
  /** Bytes of a request's target; more is 414. */
  maxTargetBytes: size({
    group: 'limits',
    help: "Bytes of a request's target; more gets 414",
    default: 8 * KI,
    min: 64,
    max: MI,
  }),
  /** Requests on one connection, after which it is closed. */
  maxRequestsPerConnection: count({
    group: 'limits',
    help: 'Requests on one connection, after which it is closed',
    default: 10_000,
    min: 1,
    max: 1_000_000_000,
  }),
  /** Bytes of a request's body that are read and discarded; more is 413. */
  maxBodyBytes: size({
    group: 'limits',
    help: "Bytes of a request's body, read and discarded; more gets 413",
    default: 64 * KI,
    min: 1,
    max: GI,
  }),
  /** Entries of each engine's file cache. */
  cacheEntries: count({
    group: 'limits',
    help: "Entries of each engine's file cache; each holds a file open",
    default: 65_536,
    min: 1,
    max: 16_777_216,
  }),
  /** Bytes of file content kept in each engine's cache. */
  cacheBytes: size({
    group: 'limits',
    help: "Bytes of file content kept in each engine's cache",
    default: 64 * MI,
    min: 64 * KI,
    max: 1024 * GI,
  }),
  /** Largest file kept in memory. */
  cacheFileBytes: size({
    group: 'limits',
    help: 'Largest file kept in memory',
    default: 64 * KI,
    min: 1,
    max: 16 * MI,
  }),
  /** How old a looked-up fact about a file may be, ms. */
  revalidate: duration({
    group: 'limits',
    help: 'How old a looked-up fact about a file may be',
    default: 500,
    min: 1,
    max: HOUR,
  }),
};

/** The daemon's metrics: its connections, and what clients asked of it. What its drivers did: ocf-families.ts. */
import { buildInfo } from './build-info.ts';
import type { Family, Labels, Sample } from './families.ts';
import { type OcfSnapshot, ocfFamilies } from './ocf-families.ts';

export interface CryptodSnapshot extends OcfSnapshot {
  /** By the names of native/addon/cryptod_binding.cc. */
  readonly counters: Readonly<Record<string, number>>;
  readonly version: string;
}

type One = Family<CryptodSnapshot>;

const family = (
  type: One['type'],
  name: string,
  help: string,
  of: string | readonly (readonly [Labels, string])[],
): One => ({
  name: `socrypt_cryptod_${name}`,
  type,
  help,
  samples: ({ counters }) =>
    (typeof of === 'string' ? [[{}, of] as const] : of).map(
      ([labels, counter]): Sample => ({ labels, value: counters[counter] ?? 0 }),
    ),
});

export const cryptodFamilies: readonly One[] = [
  buildInfo,
  family('counter', 'connections_total', 'Connections accepted.', 'connections'),
  family('gauge', 'connections_active', 'Connections that are open.', 'connections_open'),
  family('counter', 'connections_refused_total', 'Connections refused, by reason.', [
    [{ reason: 'user' }, 'refused_user'],
    [{ reason: 'limit' }, 'refused_limit'],
  ]),
  family('counter', 'protocol_errors_total', 'Connections ended for what a client said.', 'protocol_errors'),
  family('counter', 'sessions_total', 'Sessions asked for, by what became of that.', [
    [{ result: 'opened' }, 'sessions_opened'],
    [{ result: 'refused' }, 'sessions_refused'],
  ]),
  family('counter', 'ops_total', 'Operations of clients that were begun.', 'ops'),
  family('counter', 'op_bytes_total', 'Bytes of payload of operations.', 'op_bytes'),
  family(
    'counter',
    'ops_failed_total',
    'Operations of clients answered with an error, wrong tags included.',
    'ops_failed',
  ),
  family(
    'counter',
    'ops_full_total',
    'Operations refused since the connection had as many as it may.',
    'ops_full',
  ),
  family('counter', 'key_ops_total', 'Key operations of clients.', 'key_ops'),
  ...ocfFamilies,
];

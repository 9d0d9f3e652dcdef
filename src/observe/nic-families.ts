/** The NIC's metrics: the device's counters under the kernel's names (Documentation/networking/tls-offload.rst). */
import { native } from '../native.ts';
import { buildInfo } from './build-info.ts';
import type { Family, Sample } from './families.ts';

export interface NicSnapshot {
  readonly alive: boolean;
  readonly flows: number;
  readonly retainedBytes: number;
  /** In the order of `native.Nic.counterFacts`; null: another process's, which tells them. */
  readonly counters: ArrayLike<number> | null;
}

const value = (n: number): readonly Sample[] => [{ labels: {}, value: n }];

type WithNic = { readonly nic: NicSnapshot | null };

export const nicFamilies: readonly Family<WithNic>[] = [
  {
    name: 'socrypt_nic_up',
    type: 'gauge',
    help: 'Whether the inline NIC lives; absent without one.',
    samples: ({ nic }) => (nic === null ? [] : value(nic.alive ? 1 : 0)),
  },
  {
    name: 'socrypt_nic_flows',
    type: 'gauge',
    help: 'Connections that the inline NIC seals for.',
    samples: ({ nic }) => (nic === null ? [] : value(nic.flows)),
  },
  {
    name: 'socrypt_nic_retained_bytes',
    type: 'gauge',
    help: 'Plaintext kept for segments that the inline NIC has not seen yet.',
    samples: ({ nic }) => (nic === null ? [] : value(nic.retainedBytes)),
  },
  ...native.Nic.counterFacts.map(
    ({ name, help }, index): Family<WithNic> => ({
      name: `socrypt_nic_${name}_total`,
      type: 'counter',
      help: `Inline NIC: ${help}.`,
      samples: ({ nic }) => (nic?.counters ? value(nic.counters[index] ?? 0) : []),
    }),
  ),
];

/** Of a NIC that is lent. */
export interface LentNicSnapshot {
  readonly version: string;
  readonly nic: NicSnapshot;
  readonly clients: number;
  readonly accepted: number;
  readonly refused: number;
  readonly violations: number;
}

export const lentNicFamilies: readonly Family<LentNicSnapshot>[] = [
  buildInfo,
  {
    name: 'socrypt_nic_clients',
    type: 'gauge',
    help: 'Processes that the inline NIC is lent to.',
    samples: ({ clients }) => value(clients),
  },
  {
    name: 'socrypt_nic_clients_accepted_total',
    type: 'counter',
    help: 'Processes that the inline NIC was lent to.',
    samples: ({ accepted }) => value(accepted),
  },
  {
    name: 'socrypt_nic_clients_refused_total',
    type: 'counter',
    help: 'Processes that the inline NIC was not lent to: of another user, or too many.',
    samples: ({ refused }) => value(refused),
  },
  {
    name: 'socrypt_nic_clients_violations_total',
    type: 'counter',
    help: 'Processes that were ended for what they said to the inline NIC.',
    samples: ({ violations }) => value(violations),
  },
  ...nicFamilies,
];

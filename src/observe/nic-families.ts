/** The NIC's metrics: the device's counters under the kernel's names (Documentation/networking/tls-offload.rst). */
import { native } from '../native.ts';
import type { Family, Sample } from './families.ts';

export interface NicSnapshot {
  readonly alive: boolean;
  readonly flows: number;
  readonly retainedBytes: number;
  /** In the order of `native.Nic.counterFacts`; null: another process's, which tells them. */
  readonly counters: ArrayLike<number> | null;
}

const value = (n: number): readonly Sample[] => [{ labels: {}, value: n }];

export const nicFamilies: readonly Family[] = [
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
    ({ name, help }, index): Family => ({
      name: `socrypt_nic_${name}_total`,
      type: 'counter',
      help: `Inline NIC: ${help}.`,
      samples: ({ nic }) => (nic?.counters ? value(nic.counters[index] ?? 0) : []),
    }),
  ),
];

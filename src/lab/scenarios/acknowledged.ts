import { drop, every, keyUpdate, milliseconds, reorder, reset, scenario, stale } from '../scenario.ts';

export default scenario({
  name: 'acknowledged',
  about:
    'What the peer has acknowledged comes to the device again, also from in front of where a flow began.',
  plan: (random) => ({
    traffic: { connections: 4, bytes: 400_000 },
    faults: [
      stale({ percent: 5, bytes: random.between(1, 4000) }),
      drop({ at: 'out', percent: 2 }),
      reorder({ at: 'host', percent: 5, most: 2000 }),
    ],
    deeds: [
      every(milliseconds(random.between(2, 10)), reset()),
      every(milliseconds(random.between(1, 5)), keyUpdate()),
    ],
  }),
  expect: ({ statistics, counters }) =>
    statistics.stale && statistics.resets && counters.tx_tls_drop_acknowledged! >= statistics.stale
      ? undefined
      : 'expected segments of what was acknowledged, and every one of them dropped',
});

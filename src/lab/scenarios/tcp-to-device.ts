import { coalesce, drop, duplicate, reorder, resegment, scenario, stray, tailFirst } from '../scenario.ts';

export default scenario({
  name: 'tcp-to-device',
  about: 'Segments are lost, repeated, turned around, cut and joined before the device sees them.',
  plan: (random) => ({
    traffic: { connections: 3, bytes: 300_000, segmentBytes: random.one([0, 536, 1448]) },
    faults: [
      drop({ at: 'host', percent: random.between(1, 8) }),
      duplicate({ at: 'host', percent: 3 }),
      reorder({ at: 'host', percent: 5, most: 2000 }),
      tailFirst({ percent: 3, frames: random.between(2, 12) }),
      resegment({ at: 'host', percent: 10, pieces: 4 }),
      coalesce({ at: 'host', percent: 10 }),
      stray({ percent: 5, bytes: random.between(1, 20_000) }),
    ],
  }),
  expect: ({ counters }) =>
    counters.tx_tls_resync_bytes
      ? undefined
      : 'expected holes that a tag had to wait for, and there were none',
});

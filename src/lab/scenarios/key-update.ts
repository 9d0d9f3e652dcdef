import { drop, every, evict, keyUpdate, milliseconds, reorder, scenario, stray } from '../scenario.ts';

export default scenario({
  name: 'key-update',
  about: 'Keys change while records under the old ones are still to be retransmitted.',
  plan: (random) => ({
    traffic: { connections: 3, bytes: 600_000, suite: random.one([0x1301, 0x1302, 0x1303]) },
    faults: [
      drop({ at: 'out', percent: 4 }),
      reorder({ at: 'host', percent: 3, most: 1000 }),
      stray({ percent: 3, bytes: 5000 }),
    ],
    deeds: [every(milliseconds(random.between(1, 6)), keyUpdate()), every(milliseconds(4), evict())],
  }),
  expect: ({ statistics }) =>
    (statistics.mostEpochs ?? 0) > 1 && statistics.keyUpdates
      ? undefined
      : 'expected several epochs of one flow at once',
});

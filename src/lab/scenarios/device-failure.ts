import { die, drop, every, evict, milliseconds, reorder, reset, ringFull, scenario } from '../scenario.ts';

export default scenario({
  name: 'device-failure',
  about:
    'Contexts are evicted, rings are full, the device is reset and dies; the driver hands the flows to the next.',
  plan: (random) => ({
    traffic: { connections: 4, bytes: 400_000 },
    faults: [
      drop({ at: 'out', percent: 2 }),
      drop({ at: 'host', percent: 1 }),
      reorder({ at: 'host', percent: 2, most: 1000 }),
    ],
    deeds: [
      every(milliseconds(1), evict()),
      every(milliseconds(random.between(3, 20)), reset()),
      every(milliseconds(17), ringFull(500)),
      every(milliseconds(3000), die(milliseconds(random.between(1, 600)))),
    ],
  }),
  expect: ({ statistics }) =>
    statistics.resets && statistics.evictions ? undefined : 'expected resets and evictions',
});

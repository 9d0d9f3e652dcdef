import { drop, scenario } from '../scenario.ts';

export default scenario({
  name: 'tight-limits',
  about: 'Maps and budgets are small: the driver waits, and nothing grows beyond them.',
  plan: (random) => ({
    traffic: {
      connections: 8,
      bytes: 200_000,
      mapRecords: random.between(1, 8),
      mapPayload: random.between(17_000, 60_000),
      totalPayload: random.between(40_000, 120_000),
      reportPercent: random.between(5, 100),
    },
    faults: [drop({ at: 'out', percent: 3 }), drop({ at: 'host', percent: 2 })],
  }),
  expect: ({ statistics }) => (statistics.waits ? undefined : 'expected a driver that waits'),
});

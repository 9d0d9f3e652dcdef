import { coalesce, corrupt, delay, duplicate, reorder, resegment, scenario } from '../scenario.ts';

export default scenario({
  name: 'middlebox',
  about: 'The wire cuts, joins, repeats, reorders, delays and damages packets, either way.',
  plan: (random) => ({
    traffic: { connections: 3, bytes: 300_000, roundTrip: random.between(100, 50_000) },
    faults: [
      resegment({ at: 'out', percent: 10, pieces: 5 }),
      coalesce({ at: 'out', percent: 10 }),
      duplicate({ at: 'out', percent: 2 }),
      reorder({ at: 'out', percent: random.between(1, 10), most: 5000 }),
      delay({ at: 'out', percent: 0.2, most: 2000 }),
      corrupt({ at: 'out', percent: 1 }),
      duplicate({ at: 'back', percent: 2 }),
      reorder({ at: 'back', percent: 5, most: 5000 }),
      corrupt({ at: 'back', percent: 1 }),
    ],
  }),
  expect: ({ statistics }) =>
    statistics.corrupted && statistics.reordered ? undefined : 'expected damaged and overtaken packets',
});

import { drop, every, evict, milliseconds, scenario, stray } from '../scenario.ts';

export default scenario({
  name: 'quiet-file',
  about: 'A file that nobody changes is sent without a copy, under loss: the guard must not see ghosts.',
  plan: () => ({
    traffic: { connections: 3, bytes: 400_000, guardedPercent: 70 },
    faults: [
      drop({ at: 'out', percent: 4 }),
      drop({ at: 'host', percent: 2 }),
      stray({ percent: 5, bytes: 3000 }),
    ],
    deeds: [every(milliseconds(5), evict())],
  }),
  expect: ({ statistics }) => (statistics.guardEnded ? 'the guard has ended a connection' : undefined),
});

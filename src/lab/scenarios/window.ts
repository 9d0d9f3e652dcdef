import { drop, every, milliseconds, renege, reorder, scenario, zeroWindow } from '../scenario.ts';

export default scenario({
  name: 'window',
  about: 'The receiver stops reading for a while, and takes back what it has acknowledged selectively.',
  plan: (random) => ({
    traffic: { connections: 3, bytes: 500_000, receiveBuffer: random.one([16_384, 65_536, 262_144]) },
    faults: [drop({ at: 'out', percent: 3 }), reorder({ at: 'out', percent: 3, most: 3000 })],
    deeds: [
      every(milliseconds(random.between(5, 40)), zeroWindow(milliseconds(random.between(1, 900)))),
      every(milliseconds(3), renege()),
    ],
  }),
  expect: ({ statistics }) =>
    statistics.windowProbes || statistics.renegings ? undefined : 'expected window probes or reneging',
});

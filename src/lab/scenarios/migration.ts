import { drop, every, keyUpdate, milliseconds, scenario, stray, toNic, toSoftware } from '../scenario.ts';

export default scenario({
  name: 'migration',
  about: 'Connections move between the device and software in mid-stream, and back, under loss.',
  plan: (random) => ({
    traffic: { connections: 4, bytes: 600_000 },
    faults: [drop({ at: 'out', percent: 4 }), stray({ percent: 3, bytes: 9000 })],
    deeds: [
      every(milliseconds(random.between(1, 5)), toSoftware()),
      every(milliseconds(random.between(1, 5)), toNic()),
      every(milliseconds(7), keyUpdate()),
    ],
  }),
  expect: ({ statistics }) => (statistics.migrations ? undefined : 'expected migrations'),
});

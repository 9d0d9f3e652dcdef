import { drop, every, milliseconds, mtu, scenario } from '../scenario.ts';

export default scenario({
  name: 'path-mtu',
  about: 'The path grows narrower and wider while segments are on their way.',
  plan: () => ({
    traffic: { connections: 4, bytes: 400_000 },
    faults: [drop({ at: 'out', percent: 2 })],
    deeds: [
      every(milliseconds(20), mtu(536), milliseconds(3)),
      every(milliseconds(20), mtu(1211), milliseconds(8)),
      every(milliseconds(20), mtu(1448), milliseconds(14)),
    ],
  }),
  expect: ({ statistics }) => (statistics.retransmissions ? undefined : 'expected retransmissions'),
});

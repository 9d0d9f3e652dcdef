import { drop, forgedAck, noise, scenario, spoofedRst } from '../scenario.ts';

export default scenario({
  name: 'forged',
  about:
    'Somebody off the path forges ACKs and RSTs, and garbage comes down to the device; losses beside it.',
  plan: (random) => ({
    traffic: { connections: 3, bytes: 300_000 },
    faults: [
      forgedAck({ percent: random.between(5, 50) }),
      spoofedRst({ percent: 5 }),
      noise({ percent: 10 }),
      drop({ at: 'out', percent: 3 }),
    ],
  }),
  expect: ({ statistics }) =>
    statistics.forgedAcks && statistics.retransmissions
      ? undefined
      : 'expected forged ACKs and retransmissions behind them',
});

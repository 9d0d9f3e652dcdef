import { clockJump, every, milliseconds, peerReset, reorder, scenario } from '../scenario.ts';

export default scenario({
  name: 'clock-jump',
  about:
    "The device's clock leaps forward, as a guest's does that was suspended, while data of ended connections waits.",
  plan: () => ({
    traffic: { connections: 4, bytes: 2_000_000 },
    faults: [reorder({ at: 'host', percent: 5, most: 700_000 })],
    deeds: [every(milliseconds(700), peerReset()), every(milliseconds(100), clockJump(3_600_000))],
  }),
  expect: ({ counters }) =>
    counters.tx_tls_drop_removed ? undefined : 'expected data of ended connections that is dropped',
});

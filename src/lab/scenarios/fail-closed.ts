import { abandon, delay, drop, every, milliseconds, peerReset, reorder, scenario } from '../scenario.ts';

export default scenario({
  name: 'fail-closed',
  about:
    'The device dies and the driver gives up, or the peer resets: plaintext waits in queues and must stay there.',
  plan: (random) => ({
    traffic: { connections: 4, bytes: 2_000_000 },
    faults: [
      drop({ at: 'out', percent: 2 }),
      reorder({ at: 'host', percent: 5, most: 200_000 }),
      delay({ at: 'host', percent: 0.1, most: 100_000 }),
    ],
    deeds: [
      every(milliseconds(random.between(100, 400)), abandon(milliseconds(random.between(0, 100)))),
      every(milliseconds(random.between(100, 400)), peerReset()),
    ],
  }),
  expect: ({ statistics, counters }) =>
    statistics.aborted && counters.tx_tls_drop_removed
      ? undefined
      : 'expected connections that end early, and data of theirs that is dropped',
});

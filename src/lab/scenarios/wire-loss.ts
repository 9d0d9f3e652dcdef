import { burst, drop, scenario } from '../scenario.ts';

export default scenario({
  name: 'wire-loss',
  about: 'Packets and acknowledgements are lost on the wire, one by one and in rows.',
  plan: (random) => ({
    traffic: { connections: 4, bytes: 400_000 },
    faults: [
      drop({ at: 'out', percent: random.between(1, 10) }),
      drop({ at: 'back', percent: random.between(1, 20) }),
      burst({ at: 'out', percent: 0.1, frames: 10 }),
    ],
  }),
  expect({ statistics, cryptoPerRetransmittedByte }) {
    if (!statistics.retransmissions) return 'expected retransmissions, and there were none';
    // Every byte that the device saw twice was encrypted twice, and none a third time.
    if (cryptoPerRetransmittedByte !== 1)
      return `expected 1 byte of crypto per retransmitted byte, but it took ${cryptoPerRetransmittedByte}`;
  },
});

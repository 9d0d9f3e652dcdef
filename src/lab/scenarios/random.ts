import type { Random } from '../random.ts';
import * as lab from '../scenario.ts';

/** Some of everything that can go together, at rates that the seed draws. */
function faults(random: Random): lab.FaultRule[] {
  const percent = () => random.between(1, 1000) / 100;
  const all = [
    lab.drop({ at: 'host', percent: percent() }),
    lab.duplicate({ at: 'host', percent: percent() }),
    lab.reorder({ at: 'host', percent: percent(), most: random.between(10, 10_000) }),
    lab.delay({ at: 'host', percent: percent() / 20, most: random.between(10, 3000) }),
    lab.resegment({ at: 'host', percent: 3 * percent(), pieces: random.between(2, 6) }),
    lab.coalesce({ at: 'host', percent: percent() }),
    lab.tailFirst({ percent: percent(), frames: random.between(2, 16) }),
    lab.stray({ percent: percent(), bytes: random.between(1, 40_000) }),
    lab.noise({ percent: percent() / 2 }),
    lab.drop({ at: 'out', percent: 2 * percent() }),
    lab.burst({ at: 'out', percent: percent() / 20, frames: random.between(2, 30) }),
    lab.duplicate({ at: 'out', percent: percent() }),
    lab.reorder({ at: 'out', percent: percent(), most: random.between(10, 10_000) }),
    lab.corrupt({ at: 'out', percent: percent() / 2 }),
    lab.resegment({ at: 'out', percent: percent(), pieces: random.between(2, 6) }),
    lab.coalesce({ at: 'out', percent: percent() }),
    lab.drop({ at: 'back', percent: 2 * percent() }),
    lab.duplicate({ at: 'back', percent: percent() }),
    lab.reorder({ at: 'back', percent: percent(), most: random.between(10, 10_000) }),
    lab.forgedAck({ percent: percent() }),
    lab.spoofedRst({ percent: percent() }),
  ];
  return all.filter(() => random.chance(40));
}

function deeds(random: Random): lab.Deed[] {
  const often = () => random.between(500, 60_000);
  const all = [
    lab.every(often(), lab.evict()),
    lab.every(often(), lab.keyUpdate()),
    lab.every(often(), lab.toSoftware()),
    lab.every(often(), lab.toNic()),
    lab.every(often(), lab.renege()),
    lab.every(often(), lab.zeroWindow(random.between(100, 300_000))),
    lab.every(often(), lab.mtu(random.between(100, 1448))),
    lab.every(often(), lab.ringFull(random.between(10, 2000))),
    // All that is not acknowledged is announced again: in no time of the world's, but it takes some of ours.
    lab.every(random.between(10_000, 100_000), lab.reset()),
    lab.every(random.between(500_000, 3_000_000), lab.die(random.between(0, 400_000))),
    lab.every(random.between(500_000, 3_000_000), lab.abandon(random.between(0, 400_000))),
    lab.every(10 * often(), lab.peerReset()),
    lab.every(often(), lab.rewriteFile(random.between(1, 10))),
    lab.every(5 * often(), lab.shrinkFile(random.between(1, 999))),
    lab.every(5 * often(), lab.growFile()),
    lab.every(5 * often(), lab.clockJump(random.between(1, 86_400_000))),
  ];
  return all.filter(() => random.chance(25));
}

export default lab.scenario({
  name: 'random',
  about: 'A random choice of all faults at random rates, in every mode.',
  plan(random) {
    const resync = random.one(['order-free', 'order-free', 'prefix-replay', 'next-record']);
    const tight = random.chance(25);
    return {
      traffic: {
        resync,
        retention: random.one(['until-tag', 'until-acknowledged']),
        connections: random.between(1, 8),
        bytes: random.between(1, 600_000),
        recordBytes: random.one([0, 0, 100, 1457, 16_384]),
        segmentBytes: random.one([0, 536, 1448, 8948]),
        guardedPercent: resync === 'order-free' && random.chance(40) ? random.between(1, 100) : 0,
        fileBytes: random.between(1000, 400_000),
        roundTrip: random.between(10, 100_000),
        bitsPerSecond: random.one([20e6, 1e9, 10e9, 100e9]),
        sendBuffer: random.between(2000, 1_000_000),
        receiveBuffer: random.between(8000, 1_000_000),
        reportPercent: random.between(1, 100),
        ...(tight ? { mapRecords: random.between(1, 20), mapPayload: random.between(17_000, 200_000) } : {}),
      },
      faults: faults(random),
      deeds: deeds(random),
    };
  },
});

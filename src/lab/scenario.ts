/** What a scenario of the fault laboratory is, and the words it is written in. */
import type { Microseconds, NativeDeed, NativeFinding, NativePlan, NativeRule } from '../native.ts';
import type { Random } from './random.ts';

/** What is sent, by whom, over which wire. What is left out is as docs/lab.md says. */
export type Traffic = Omit<NativePlan, 'seed' | 'rules' | 'deeds' | 'device'>;
/** Something that happens to a frame with a chance. */
export type FaultRule = NativeRule;
/** Something that happens at a time. */
export type Deed = NativeDeed;

export interface ScenarioPlan {
  readonly traffic?: Traffic;
  readonly faults?: readonly FaultRule[];
  readonly deeds?: readonly Deed[];
}

/** What a run has come to. */
export interface Outcome {
  readonly packets: number;
  readonly time: Microseconds;
  readonly finding: NativeFinding | null;
  /** Names as in nic/lab/statistics.def. */
  readonly statistics: Readonly<Record<string, number>>;
  /** The device's, names as in nic/device/counters.def. */
  readonly counters: Readonly<Record<string, number>>;
  /** Encrypted bytes of text per byte of text that TCP sent again; 1 is what cannot be gone below. */
  readonly cryptoPerRetransmittedByte: number;
}

export interface Scenario {
  readonly name: string;
  /** One sentence for `socrypt lab list`. */
  readonly about: string;
  /** The same plan for the same random numbers. */
  plan(random: Random): ScenarioPlan;
  /** Called after every 10,000 packets; what it gives is done at once. Must depend on nothing but its argument. */
  onBatch?(outcome: Outcome): readonly Omit<Deed, 'at' | 'every'>[];
  /** What has to have happened, or the run has shown nothing: a sentence when it has not. */
  expect?(outcome: Outcome): string | undefined;
}

/** Checks nothing: it is there for the types. */
export const scenario = (definition: Scenario): Scenario => definition;

export const seconds = (n: number): Microseconds => Math.round(n * 1e6);
export const milliseconds = (n: number): Microseconds => Math.round(n * 1e3);

// ── faults: what happens to a frame ─────────────────────────────────────────────────────────────────

/** Between TCP and the device; on the wire to the peer; on the wire from the peer. */
export type Seam = 'host' | 'out' | 'back';
export interface Chance {
  readonly percent: number;
  /** Virtual time within which it happens at all. */
  readonly from?: Microseconds;
  readonly to?: Microseconds;
}
export interface At extends Chance {
  readonly at: Seam;
}

const rule = (seam: Seam, fault: string, { percent, from, to }: Chance, amount = 0): FaultRule => ({
  seam,
  fault,
  perMillion: Math.round(percent * 10_000),
  amount,
  ...(from === undefined ? {} : { from }),
  ...(to === undefined ? {} : { to }),
});

export const drop = (at: At): FaultRule => rule(at.at, 'drop', at);
/** Drops a row of `frames` on average. */
export const burst = (at: At & { frames: number }): FaultRule => rule(at.at, 'burst', at, at.frames);
export const duplicate = (at: At & { copies?: number }): FaultRule =>
  rule(at.at, 'duplicate', at, at.copies ?? 1);
/** It and all that is behind it wait. */
export const delay = (at: At & { most: Microseconds }): FaultRule => rule(at.at, 'delay', at, at.most);
/** It is overtaken by what comes within `most`. */
export const reorder = (at: At & { most: Microseconds }): FaultRule => rule(at.at, 'reorder', at, at.most);
/** One bit flips. */
export const corrupt = (at: At): FaultRule => rule(at.at, 'corrupt', at);
export const resegment = (at: At & { pieces: number }): FaultRule => rule(at.at, 'resegment', at, at.pieces);
export const coalesce = (at: At): FaultRule => rule(at.at, 'coalesce', at);
/** A row of up to `frames` reaches the device last one first. */
export const tailFirst = (chance: Chance & { frames: number }): FaultRule =>
  rule('host', 'tail-first', chance, chance.frames);
/** TCP sends a range of `bytes` again that need not have been. */
export const stray = (chance: Chance & { bytes: number }): FaultRule =>
  rule('host', 'stray', chance, chance.bytes);
/** Up to `bytes` that the peer has acknowledged, as the device was told, come again. */
export const stale = (chance: Chance & { bytes: number }): FaultRule =>
  rule('host', 'stale', chance, chance.bytes);
/** Frames of others, fragments, garbage, data that no record is known for. */
export const noise = (chance: Chance): FaultRule => rule('host', 'noise', chance);
export const forgedAck = (chance: Chance): FaultRule => rule('back', 'forged-ack', chance);
export const spoofedRst = (chance: Chance): FaultRule => rule('back', 'spoofed-rst', chance);

// ── deeds: what happens at a time ───────────────────────────────────────────────────────────────────

type Act = Omit<Deed, 'at' | 'every'>;
const act = (action: string, amount = 0): Act => ({ action, amount });

export const once = (at: Microseconds, deed: Act): Deed => ({ ...deed, at });
export const every = (interval: Microseconds, deed: Act, first = interval): Deed => ({
  ...deed,
  at: first,
  every: interval,
});

export const evict = (): Act => act('evict');
export const reset = (): Act => act('reset');
/** Nothing leaves for `pause`; then a new device, which the driver gives its flows again. */
export const die = (pause: Microseconds): Act => act('die', pause);
/** As `die`, and the driver fails closed: the connections end. */
export const abandon = (pause: Microseconds): Act => act('abandon', pause);
export const keyUpdate = (): Act => act('key-update');
export const toSoftware = (): Act => act('to-software');
export const toNic = (): Act => act('to-nic');
/** TCP payload per segment from now on. */
export const mtu = (payload: number): Act => act('mtu', payload);
export const zeroWindow = (pause: Microseconds): Act => act('zero-window', pause);
export const renege = (): Act => act('renege');
export const rewriteFile = (bytes: number): Act => act('rewrite', bytes);
export const shrinkFile = (thousandths: number): Act => act('shrink', thousandths);
export const growFile = (): Act => act('grow');
export const clockJump = (ms: number): Act => act('clock-jump', ms);
export const ringFull = (pause: Microseconds): Act => act('ring-full', pause);
export const peerReset = (): Act => act('peer-reset');

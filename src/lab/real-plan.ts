/** What of a scenario there is on the real stage, how often, and why not the rest. */
import { SocryptError } from '../errors.ts';
import type { NativeDeed, NativePlan, NativeRule } from '../native.ts';
import type { Scenario } from './scenario.ts';
import { planOf } from './simulate.ts';

/** Faults of the wire's seams. */
const ON_A_WIRE = [
  'drop',
  'burst',
  'duplicate',
  'delay',
  'reorder',
  'corrupt',
  'resegment',
  'coalesce',
  'forged-ack',
  'spoofed-rst',
];

/** Faults between the host's TCP and the device. */
const BEFORE_THE_DEVICE = [
  'drop',
  'burst',
  'duplicate',
  'delay',
  'reorder',
  'resegment',
  'coalesce',
  'tail-first',
  'stray',
  'noise',
];

export type Doer = 'wire' | 'device' | 'nic' | 'peer' | 'file';
interface Doing {
  /** Who does it. */
  readonly by: Doer;
  /** Milliseconds between two of them, at least: what follows takes time here. */
  readonly least: number;
  /** Connections may end by it, without a fault of ours. */
  readonly ends?: boolean;
}
/** A device in the place of another is there within a fraction of that. */
const BETWEEN_DEATHS = 1500;
const DEEDS: Readonly<Record<string, Doing>> = {
  mtu: { by: 'wire', least: 250 },
  renege: { by: 'wire', least: 100 },
  'ring-full': { by: 'wire', least: 20 },
  // The device goes on, and never knew, or finds that it is much later.
  evict: { by: 'nic', least: 20 },
  'clock-jump': { by: 'nic', least: 100 },
  reset: { by: 'device', least: BETWEEN_DEATHS },
  die: { by: 'device', least: BETWEEN_DEATHS },
  // A connection whose device ends goes on in software, and those behind it with the next device.
  'to-software': { by: 'device', least: BETWEEN_DEATHS },
  'to-nic': { by: 'device', least: BETWEEN_DEATHS },
  abandon: { by: 'device', least: 4000, ends: true },
  'zero-window': { by: 'peer', least: 1000 },
  'key-update': { by: 'peer', least: 10 },
  'peer-reset': { by: 'peer', least: 3000, ends: true },
  rewrite: { by: 'file', least: 100, ends: true },
  shrink: { by: 'file', least: 250, ends: true },
  grow: { by: 'file', least: 250, ends: true },
};

/**
 * How long a frame may be held in front of the device, in microseconds: one of a connection that has ended is dropped for
 * a second after the host port was seen empty, which no queue of the kernel's is while it holds one.
 */
const LONGEST_HELD = 500_000;

/** Why something is of the simulated stage alone. */
const NOT_HERE: Readonly<Record<string, string>> = {
  stale: 'what the peer has acknowledged is not to be seen in front of the device',
  elsewhere: 'it is a fault of another seam',
  corrupt: 'what changes in front of the device is sealed as it is, and nobody can notice',
};

export interface RealDeed {
  readonly action: string;
  readonly amount: number;
  readonly by: Doer;
  /** Milliseconds from one to the next. */
  readonly every: number;
  /** When the first is done, as a part of it. */
  readonly phase: number;
}
export interface LeftOut {
  readonly what: string;
  readonly why: string;
}
export interface RealPlan {
  /** Of the wire. */
  readonly plan: NativePlan;
  /** Of what is between TCP and the device; null: nothing is. */
  readonly before: NativePlan | null;
  readonly deeds: readonly RealDeed[];
  readonly leftOut: readonly LeftOut[];
  /** Some connections end by what the scenario does. */
  readonly mayEnd: boolean;
}

/** As a run says it. */
export const nameOf = ({ fault, seam }: NativeRule): string => `${fault} (${seam})`;

function deedOf({ action, amount = 0, at = 0, every = at }: NativeDeed): RealDeed | null {
  const doing = DEEDS[action];
  return doing === undefined
    ? null
    : {
        action,
        amount,
        by: doing.by,
        every: Math.max(doing.least, every / 1000),
        phase: every === 0 ? 1 : Math.min(1, at / every),
      };
}

export function realPlanOf(
  scenario: Scenario,
  { seed, resync }: { readonly seed: number; readonly resync?: string },
): RealPlan {
  const { rules = [], deeds = [], ...plan } = planOf(scenario, { seed, ...(resync && { resync }) });
  const here = rules.filter(({ seam, fault }) => seam !== 'host' && ON_A_WIRE.includes(fault));
  const atHost = rules.filter(({ seam, fault }) => seam === 'host' && BEFORE_THE_DEVICE.includes(fault));
  const before = atHost.map((rule) =>
    ['delay', 'reorder'].includes(rule.fault)
      ? { ...rule, amount: Math.min(rule.amount ?? 0, LONGEST_HELD) }
      : rule,
  );
  const done = deeds.map(deedOf).filter((one) => one !== null);
  const leftOut = new Map<string, string>();
  for (const rule of rules)
    if (!here.includes(rule) && !atHost.includes(rule))
      leftOut.set(nameOf(rule), (rule.seam === 'host' && NOT_HERE[rule.fault]) || NOT_HERE.elsewhere!);
  for (const { action } of deeds) if (!(action in DEEDS)) leftOut.set(action, NOT_HERE[action]!);
  if (here.length + before.length + done.length === 0)
    throw new SocryptError(
      'ERR_SOCRYPT_LAB_PLAN',
      `The real stage expects faults on the wire (${ON_A_WIRE.join(', ')}) or deeds (${Object.keys(DEEDS).join(', ')}), but ${scenario.name} --seed ${seed} has ${leftOut.size === 0 ? 'none at all' : `only ${[...leftOut.keys()].join(', ')}`}; take another one.`,
    );
  return {
    plan: { ...plan, rules: here },
    before: before.length === 0 ? null : { ...plan, rules: before },
    deeds: done,
    leftOut: [...leftOut].map(([what, why]) => ({ what, why })),
    mayEnd: done.some(({ action }) => DEEDS[action]!.ends === true),
  };
}

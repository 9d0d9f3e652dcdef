/**
 * From a failing plan to a small one that fails in the same way: rules, deeds, connections, bytes and packets go as long
 * as the same invariant does not hold. Greedy (Zeller's delta debugging, one at a time), and the runs are deterministic.
 */
import type { NativeDeed, NativePlan, NativeRule } from '../native.ts';
import type { Scenario } from './scenario.ts';
import { runPlan, type Verdict } from './simulate.ts';

export interface ShrinkOptions {
  /** Default 10. */
  readonly seconds?: number;
  /** Default 5000. */
  readonly runs?: number;
}

export interface Shrunk {
  /** Of the smallest plan that was found. */
  readonly verdict: Verdict;
  readonly runs: number;
  readonly seconds: number;
  /** Nothing that was tried makes it smaller; false: time or runs were used up before. */
  readonly minimal: boolean;
}

/** Fields that say how much there is, and the least that each can be. */
const AMOUNTS = {
  connections: 1,
  bytes: 1,
  fileBytes: 1,
} as const;
/** What is a plan's own, or is made smaller in another way than by leaving it out. */
const KEPT = new Set(['seed', 'rules', 'deeds', 'device', 'suite', 'tsoPercent', ...Object.keys(AMOUNTS)]);
/** The seeds that are tried in the end, for one that comes to it in fewer packets. */
const SEEDS = 16;
const SMALLEST_WINDOW = 100;

const without = <T>(list: readonly T[], from: number, count: number): T[] => [
  ...list.slice(0, from),
  ...list.slice(from + count),
];
const replaced = <T>(list: readonly T[], at: number, one: T): T[] =>
  list.map((old, i) => (i === at ? one : old));

/** All of a list, its halves, … down to single ones: what can be left out of it at once. */
function* parts<T>(list: readonly T[]): Generator<T[]> {
  for (let count = list.length; count >= 1; count = count === 1 ? 0 : Math.ceil(count / 2))
    for (let from = 0; from < list.length; from += count) yield without(list, from, count);
}

function* fewer(plan: NativePlan): Generator<NativePlan> {
  for (const deeds of parts(plan.deeds ?? [])) yield { ...plan, deeds };
  for (const rules of parts(plan.rules ?? [])) yield { ...plan, rules };
}

/** What is left out is as nic/lab/plan.hpp has it. */
function* plainer(plan: NativePlan): Generator<NativePlan> {
  for (const name of Object.keys(plan) as (keyof NativePlan)[]) {
    if (KEPT.has(name)) continue;
    const { [name]: _, ...rest } = plan;
    yield rest as NativePlan;
  }
  // Any is many; one is one.
  if (plan.suite === undefined || plan.suite === 0) yield { ...plan, suite: 0x1301 };
  if (plan.tsoPercent !== 0) yield { ...plan, tsoPercent: 0 };
}

function* less(plan: NativePlan): Generator<NativePlan> {
  for (const [name, least] of Object.entries(AMOUNTS) as [keyof typeof AMOUNTS, number][]) {
    const now = plan[name];
    if (now === undefined || now <= least) continue;
    for (const to of [
      least,
      Math.floor(now / 8),
      Math.floor(now / 2),
      Math.floor((now * 7) / 8),
      Math.floor((now * 63) / 64),
    ])
      if (to >= least && to < now) yield { ...plan, [name]: to };
  }
}

/** A thing that comes again and again, once; and a chance within less time. */
function* rarer(plan: NativePlan, time: number): Generator<NativePlan> {
  const deeds: readonly NativeDeed[] = plan.deeds ?? [];
  for (const [i, deed] of deeds.entries()) {
    if (!deed.every) continue;
    const { every, ...once } = deed;
    const first = deed.at ?? 0;
    const last = first + Math.floor(Math.max(0, time - first) / every) * every;
    for (const at of new Set([last, last - every, first]))
      if (at >= first) yield { ...plan, deeds: replaced(deeds, i, { ...once, at }) };
  }
  const rules: readonly NativeRule[] = plan.rules ?? [];
  for (const [i, rule] of rules.entries()) {
    const from = rule.from ?? 0;
    const to = Math.min(rule.to ?? Number.POSITIVE_INFINITY, Math.ceil(time) + 1);
    if (rule.to === undefined || to < rule.to)
      yield { ...plan, rules: replaced(rules, i, { ...rule, from, to }) };
    if (to - from <= SMALLEST_WINDOW) continue;
    const middle = Math.floor((from + to) / 2);
    yield { ...plan, rules: replaced(rules, i, { ...rule, from: middle, to }) };
    yield { ...plan, rules: replaced(rules, i, { ...rule, from, to: middle }) };
  }
}

interface Kind {
  readonly candidates: (verdict: Verdict) => Iterable<NativePlan>;
  /** How many times the packets a smaller plan may take. */
  readonly more: number;
}
const KINDS: readonly Kind[] = [
  { candidates: ({ plan }) => fewer(plan), more: 3 },
  { candidates: ({ plan }) => less(plan), more: 1 },
  { candidates: ({ plan }) => plainer(plan), more: 1 },
  { candidates: ({ plan, finding }) => rarer(plan, finding!.time), more: 1 },
];

/** Whether it is about something that a plan can be smaller for. */
export const canShrink = ({ finding }: Verdict): boolean => finding !== null;

/**
 * `failing` is a verdict with a finding. Every plan that is taken fails with the same invariant; `scenario` adds what it
 * does between batches.
 */
export async function shrink(
  failing: Verdict,
  scenario: Pick<Scenario, 'name' | 'onBatch'>,
  { seconds = 10, runs: most = 5000 }: ShrinkOptions = {},
): Promise<Shrunk> {
  const invariant = failing.finding!.invariant;
  const { expect: _, ...callbacks } = scenario as Scenario;
  const started = performance.now();
  const spent = () => (performance.now() - started) / 1000;
  let best = failing;
  let runs = 0;
  const over = () => runs >= most || spent() >= seconds;
  const fails = async (plan: NativePlan, until: number): Promise<Verdict | null> => {
    runs++;
    const verdict = await runPlan(plan, callbacks, { until });
    return verdict.finding?.invariant === invariant ? verdict : null;
  };
  /** Takes the first that fails alike, in not many more packets; false: none does. */
  const step = async ({ candidates, more }: Kind): Promise<boolean> => {
    for (const plan of candidates(best)) {
      if (over()) return false;
      const verdict = await fails(plan, more * best.finding!.packet + 100);
      if (verdict === null) continue;
      best = verdict;
      return true;
    }
    return false;
  };
  const settle = async () => {
    for (let again = true; again && !over(); ) {
      again = false;
      for (const kind of KINDS) while (!over() && (await step(kind))) again = true;
    }
  };
  await settle();
  for (let i = 0; i < SEEDS && !over(); i++) {
    const verdict = await fails({ ...best.plan, seed: i }, best.finding!.packet - 1);
    if (verdict !== null) best = verdict;
  }
  await settle();
  return { verdict: best, runs, seconds: spent(), minimal: !over() };
}

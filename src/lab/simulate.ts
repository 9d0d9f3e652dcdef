/** The simulated stage: one scenario and one seed are one run, the same every time. */
import { setImmediate } from 'node:timers/promises';
import { SocryptError } from '../errors.ts';
import { type NativeFinding, type NativePlan, type NativeSimulation, native } from '../native.ts';
import { wrongWith } from './open-record.ts';
import { Random } from './random.ts';
import type { Outcome, Scenario } from './scenario.ts';

export interface RunOptions {
  readonly seed: number;
  /** After so many, or half a minute of virtual time, no further connection begins; default 30,000. */
  readonly packets?: number;
  /** Stops behind that packet, whatever the state. */
  readonly until?: number;
  /** Keeps the last 20,000 frames for `pcap`. */
  readonly capture?: boolean;
  /** A device that is broken on purpose (`lab.devices`), to see that it is found out. */
  readonly device?: string;
  readonly resync?: string;
}

export interface Verdict extends Outcome {
  readonly scenario: string;
  readonly seed: number;
  readonly plan: NativePlan;
  /** `stopped`: at `until`, without a finding so far. */
  readonly verdict: 'pass' | 'fail' | 'stopped';
  /** Why it failed; '' otherwise. */
  readonly reason: string;
  readonly pcap: Uint8Array | null;
}

const BATCH = 10_000;
const PACKETS = 30_000;
const LONGEST = 30e6;

export function planOf(scenario: Scenario, { seed, device, resync }: RunOptions): NativePlan {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new SocryptError('ERR_SOCRYPT_LAB_PLAN', `A seed is a whole number from 0 on, but got ${seed}.`);
  const { traffic = {}, faults = [], deeds = [] } = scenario.plan(new Random(seed));
  return {
    ...traffic,
    seed,
    rules: faults,
    deeds,
    ...(device === undefined ? {} : { device }),
    ...(resync === undefined ? {} : { resync }),
  };
}

function outcomeOf(simulation: NativeSimulation): Outcome {
  const { packets, time, finding } = simulation.state();
  const statistics = simulation.statistics();
  const counters = simulation.counters();
  const again = statistics.textResealed ?? 0;
  const more = (counters.tx_tls_crypto_bytes ?? 0) - (statistics.textSealed ?? 0);
  return {
    packets,
    time,
    finding,
    statistics,
    counters,
    cryptoPerRetransmittedByte: again === 0 ? 1 : 1 + more / again,
  };
}

const sentence = ({ invariant, what, packet, time, connection }: NativeFinding): string =>
  `${invariant}: ${what} (packet ${packet}, ${(time / 1e6).toFixed(6)} s, connection ${connection})`;

/** Runs a plan as it is; `scenario` adds its callbacks and expectations. */
export async function runPlan(
  plan: NativePlan,
  scenario: Pick<Scenario, 'name' | 'onBatch' | 'expect'>,
  options: Omit<RunOptions, 'seed' | 'device' | 'resync'> = {},
): Promise<Verdict> {
  const simulation = new native.lab.Simulation(plan);
  if (options.capture) simulation.capture(true);
  if (options.until !== undefined) simulation.stopBehind(options.until);
  const packets = options.packets ?? PACKETS;
  const over = () => simulation.state().over;
  const full = () => simulation.state().packets >= packets || simulation.state().time >= LONGEST;
  for (let next = BATCH; !over() && !full(); next += BATCH) {
    simulation.run(Math.min(next, packets), LONGEST);
    if (over()) break;
    for (const deed of scenario.onBatch?.(outcomeOf(simulation)) ?? []) simulation.act(deed);
    await setImmediate();
  }
  if (!over()) simulation.windDown();
  while (!over()) {
    simulation.run(simulation.state().packets + 10 * BATCH, Number.POSITIVE_INFINITY);
    await setImmediate();
  }
  const outcome = outcomeOf(simulation);
  const { stopped } = simulation.state();
  let reason = outcome.finding === null ? '' : sentence(outcome.finding);
  for (const sample of simulation.samples()) reason ||= wrongWith(sample) ?? '';
  if (!stopped && reason === '') reason = scenario.expect?.(outcome) ?? '';
  return {
    ...outcome,
    scenario: scenario.name,
    seed: plan.seed,
    plan,
    verdict: reason !== '' ? 'fail' : stopped ? 'stopped' : 'pass',
    reason,
    pcap: options.capture ? simulation.pcap() : null,
  };
}

export async function run(scenario: Scenario, options: RunOptions): Promise<Verdict> {
  return await runPlan(planOf(scenario, options), scenario, options);
}

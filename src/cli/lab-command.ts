/** `socrypt lab`: runs the fault laboratory. */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type RealVerdict, runReal } from '../lab/real.ts';
import type { Scenario } from '../lab/scenario.ts';
import { scenarios } from '../lab/scenarios/index.ts';
import { canShrink, type Shrunk, shrink } from '../lab/shrink.ts';
import { run, runPlan, type Verdict } from '../lab/simulate.ts';
import { type NativePlan, native } from '../native.ts';
import { UsageError } from '../serve/errors.ts';
import { nearest } from '../serve/suggest.ts';
import { EXIT_FAILED, EXIT_OK, type Io } from './io.ts';

export const LAB_HELP = `Usage: socrypt lab list
       socrypt lab run SCENARIO [--seed N] [--minutes M | --packets N] [OPTIONS]
       socrypt lab run SCENARIO --stage real [--seed N] [--minutes M] [--pcap FILE]
       socrypt lab replay SCENARIO --seed N [--until PACKET] [--pcap FILE]
       socrypt lab replay FILE|PLAN [--until PACKET] [--pcap FILE]

Breaks the network around the inline NIC in every way it can, and compares what leaves with an oracle.

  --seed N         where the seeds begin; the same seed is the same run (default: random, printed)
  --minutes M      goes on with the next seeds for M minutes
  --packets N      goes on with the next seeds until N packets were simulated
  --stage STAGE    simulated (default), or real: the server and its kernel's TCP in one network namespace, curl and
                   openssl in another, the faults on the wire between; needs root
  --until PACKET   stops behind that packet
  --pcap FILE      writes the last 20,000 frames
  --shrink SECONDS looks so long for a smaller plan that fails in the same way (default 10 for run, 0 for replay)
  --save FILE      writes the plan of a failing run, the smallest that was found, for \`lab replay FILE\`
  --resync MODE    order-free, prefix-replay or next-record, whatever the scenario says
  --device NAME    a device that is broken on purpose; \`lab list\` names them
  --json           one object per run
`;

const OPTIONS = {
  seed: { type: 'string' },
  minutes: { type: 'string' },
  packets: { type: 'string' },
  until: { type: 'string' },
  pcap: { type: 'string' },
  save: { type: 'string' },
  shrink: { type: 'string' },
  stage: { type: 'string' },
  resync: { type: 'string' },
  device: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;
const SHRINK_SECONDS = 10;
const ENDS_OF_A_DEVICE = ['reset', 'die', 'abandon', 'to-software', 'to-nic'];
const RESYNCS = ['order-free', 'prefix-replay', 'next-record'];
type Values = Partial<Record<Exclude<keyof typeof OPTIONS, 'json' | 'help'>, string>> & {
  json?: boolean;
  help?: boolean;
};

function parse(args: readonly string[]): { values: Values; positionals: string[] } {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError([`socrypt lab: ${(error as Error).message}`]);
  }
}

function number(
  values: Values,
  name: 'seed' | 'minutes' | 'packets' | 'until' | 'shrink',
): number | undefined {
  const given = values[name];
  if (given === undefined) return undefined;
  const value = Number(given);
  const fraction = name === 'minutes' || name === 'shrink';
  const whole = fraction || Number.isSafeInteger(value);
  if (given.trim() === '' || !whole || !(value >= 0))
    throw new UsageError([
      `--${name} expects a ${fraction ? 'number' : 'whole number'} that is not negative, but got ${JSON.stringify(given)}.`,
    ]);
  return value;
}

function named(name: string | undefined): Scenario {
  const found = scenarios.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = scenarios.map((one) => one.name);
  const near = name === undefined ? null : nearest(name, names);
  throw new UsageError([
    name === undefined
      ? 'socrypt lab run expects a scenario; `socrypt lab list` names them.'
      : `${JSON.stringify(name)} is not a scenario; ${near === null ? '`socrypt lab list` names them' : `did you mean ${near}?`}`,
  ]);
}

function choices(values: Values): { device?: string; resync?: string } {
  const { device, resync } = values;
  if (device !== undefined && !native.lab.devices.includes(device))
    throw new UsageError([`--device expects one of ${native.lab.devices.join(', ')}, but got ${device}.`]);
  if (resync !== undefined && !RESYNCS.includes(resync))
    throw new UsageError([`--resync expects one of ${RESYNCS.join(', ')}, but got ${resync}.`]);
  return { ...(device === undefined ? {} : { device }), ...(resync === undefined ? {} : { resync }) };
}

/** The options without which a seed is another run. */
const chosen = ({ device, resync }: Values): string =>
  (device === undefined ? '' : ` --device ${device}`) + (resync === undefined ? '' : ` --resync ${resync}`);

export function verdictLine(verdict: Verdict): string {
  const { scenario, seed, packets, time, statistics } = verdict;
  const facts = [
    `${packets} packets`,
    `${(time / 1e6).toFixed(3)} s`,
    `${statistics.completed} of ${statistics.started} connections complete`,
    `${statistics.retransmissions} retransmissions`,
    `${((statistics.bytesChecked ?? 0) / 1e6).toFixed(1)} MB as the oracle has them`,
    `crypto per retransmitted byte ${verdict.cryptoPerRetransmittedByte.toFixed(3)}`,
  ];
  const reason = verdict.reason === '' ? '' : `\n      ${verdict.reason}`;
  return `${verdict.verdict.padEnd(5)} ${scenario} --seed ${seed}: ${facts.join(', ')}${reason}\n`;
}

const counted = (kept: number, of: number, what: string): string =>
  of === 0 ? '' : `${kept} of ${of} ${what}, `;

/** What is left of a plan, and how it is run again. */
function shrunkLines({ verdict, runs, seconds, minimal }: Shrunk, from: Verdict): string {
  const { plan, finding } = verdict;
  const left =
    counted(plan.rules?.length ?? 0, from.plan.rules?.length ?? 0, 'faults') +
    counted(plan.deeds?.length ?? 0, from.plan.deeds?.length ?? 0, 'deeds') +
    counted(plan.connections ?? 1, from.plan.connections ?? 1, 'connections') +
    `${finding!.packet} of ${from.finding!.packet} packets`;
  const search = minimal
    ? `nothing smaller in ${runs} runs`
    : `time was up after ${runs} runs, ${seconds.toFixed(1)} s`;
  return `      smallest: ${left} (${search})\n      again: socrypt lab replay '${JSON.stringify({ scenario: verdict.scenario, plan })}'\n`;
}

async function report(
  verdict: Verdict,
  scenario: Pick<Scenario, 'name' | 'onBatch'>,
  seconds: number,
  values: Values,
  io: Io,
): Promise<void> {
  const { pcap, ...rest } = verdict;
  if (!values.json) io.out(verdictLine(verdict));
  if (values.pcap !== undefined && pcap !== null) writeFileSync(values.pcap, pcap);
  const failed = verdict.verdict === 'fail';
  if (failed && verdict.finding !== null && !values.json)
    io.out(
      `      again: socrypt lab replay ${verdict.scenario} --seed ${verdict.seed}${chosen(values)} --until ${verdict.finding.packet} --pcap ${verdict.scenario}.pcap\n`,
    );
  const shrunk =
    failed && canShrink(verdict) && seconds > 0 ? await shrink(verdict, scenario, { seconds }) : null;
  if (values.json)
    io.out(
      `${JSON.stringify({ ...rest, ...(shrunk && { shrunk: { ...shrunk, verdict: { ...shrunk.verdict, pcap: undefined } } }) })}\n`,
    );
  else if (shrunk !== null) io.out(shrunkLines(shrunk, verdict));
  if (failed && values.save !== undefined)
    writeFileSync(
      values.save,
      `${JSON.stringify({ scenario: verdict.scenario, plan: (shrunk?.verdict ?? verdict).plan }, null, 2)}\n`,
    );
}

function realLine(verdict: RealVerdict): string {
  const { counts } = verdict;
  const of = (name: string, what: string) => (counts[name] ? [`${counts[name]} ${what}`] : []);
  const before = Object.entries(verdict.before)
    .filter(([name, times]) => times > 0 && !['frames', 'attached', 'refused'].includes(name))
    .map(([name, times]) => `${times} ${name}`)
    .join(' ');
  const facts = [
    `${verdict.transfers} transfers`,
    ...(verdict.ended === 0 ? [] : [`${verdict.ended} ended early`]),
    `${(verdict.bytes / 1e6).toFixed(1)} MB in ${verdict.seconds.toFixed(1)} s`,
    `${(counts.framesOut ?? 0) + (counts.framesBack ?? 0)} frames`,
    ...of('dropped', 'lost'),
    ...of('duplicated', 'repeated'),
    ...of('overtaken', 'overtaken'),
    ...of('delayed', 'delayed'),
    ...of('corrupted', 'corrupted'),
    ...of('resegmented', 'cut'),
    ...of('coalesced', 'joined'),
    ...of('forgedAcks', 'forged ACKs'),
    ...of('spoofedRsts', 'spoofed RSTs'),
    ...of('tooLong', 'too long'),
    ...of('zeroWindows', 'zero windows'),
    ...of('renegings', 'renegings'),
    ...(verdict.deaths === 0 ? [] : [`${verdict.deaths} ends of the device`]),
    ...Object.entries(verdict.deeds)
      .filter(([name]) => !ENDS_OF_A_DEVICE.includes(name))
      .map(([name, times]) => `${times} ${name}`),
    ...(before === '' ? [] : [`in front of the device ${before}`]),
    `${((counts.bytesAgain ?? 0) / 1e6).toFixed(1)} MB sent again and the same`,
  ];
  const reason = verdict.reason === '' ? '' : `\n      ${verdict.reason}`;
  const left = verdict.leftOut.map(({ what, why }) => `\n      not of this stage: ${what}: ${why}`).join('');
  return `${verdict.verdict.padEnd(5)} ${verdict.scenario} --stage real --seed ${verdict.seed}: ${facts.join(', ')}${reason}${left}\n`;
}

async function realCommand(scenario: Scenario, seed: number, values: Values, io: Io): Promise<number> {
  for (const name of ['packets', 'until', 'save', 'shrink', 'device'] as const)
    if (values[name] !== undefined)
      throw new UsageError([`--${name} is about the simulated stage; leave it out with --stage real.`]);
  const minutes = number(values, 'minutes') ?? 0;
  const { resync } = choices(values);
  const stop = new AbortController();
  const offs = (['SIGINT', 'SIGTERM'] as const).map((name) => io.onSignal(name, () => stop.abort()));
  try {
    const verdict = await runReal(scenario, {
      seed,
      minutes,
      ...(resync === undefined ? {} : { resync }),
      capture: values.pcap !== undefined,
      signal: stop.signal,
    });
    const { pcap, ...rest } = verdict;
    io.out(values.json ? `${JSON.stringify(rest)}\n` : realLine(verdict));
    if (values.pcap !== undefined && pcap !== null) writeFileSync(values.pcap, pcap);
    return verdict.verdict === 'fail' ? EXIT_FAILED : EXIT_OK;
  } finally {
    for (const off of offs) off();
  }
}

async function runCommand(
  name: string | undefined,
  shrinkSeconds: number,
  values: Values,
  io: Io,
): Promise<number> {
  const scenario = named(name);
  if (values.stage !== undefined && values.stage !== 'simulated' && values.stage !== 'real')
    throw new UsageError([`--stage expects simulated or real, but got ${values.stage}.`]);
  const first = number(values, 'seed') ?? Math.floor(Math.random() * 2 ** 32);
  if (values.stage === 'real') return realCommand(scenario, first, values, io);
  const minutes = number(values, 'minutes');
  const total = number(values, 'packets');
  const until = number(values, 'until');
  const shrinking = number(values, 'shrink') ?? shrinkSeconds;
  const started = performance.now();
  let packets = 0;
  let runs = 0;
  let stopped = false;
  const off = io.onSignal('SIGINT', () => {
    stopped = true;
  });
  try {
    for (let seed = first; ; seed++) {
      const verdict = await run(scenario, {
        seed,
        ...choices(values),
        ...(until === undefined ? {} : { until }),
        capture: values.pcap !== undefined,
      });
      packets += verdict.packets;
      runs += 1;
      await report(verdict, scenario, shrinking, values, io);
      if (verdict.verdict === 'fail') return EXIT_FAILED;
      const seconds = (performance.now() - started) / 1000;
      const more = minutes !== undefined ? seconds < minutes * 60 : total !== undefined && packets < total;
      if (more && !stopped) continue;
      if (runs > 1 && !values.json)
        io.out(
          `pass  ${runs} runs from --seed ${first}: ${packets} packets in ${seconds.toFixed(1)} s, ${Math.round((packets / seconds) * 60)} a minute\n`,
        );
      return EXIT_OK;
    }
  } finally {
    off();
  }
}

/** Of a file, or itself. */
function savedPlan(what: string): { scenario: string; plan: NativePlan } {
  const itself = what.startsWith('{');
  try {
    const { scenario, plan } = JSON.parse(itself ? what : readFileSync(what, 'utf8'));
    if (typeof scenario === 'string' && typeof plan === 'object' && plan !== null) return { scenario, plan };
    throw new Error('it has no "scenario" and "plan"');
  } catch (error) {
    throw new UsageError([
      `socrypt lab replay expects a file that --save has written, or a plan, but ${itself ? 'this' : what} is none: ${(error as Error).message}`,
    ]);
  }
}

async function replayCommand(what: string | undefined, values: Values, io: Io): Promise<number> {
  if (what === undefined || !(what.endsWith('.json') || what.startsWith('{'))) {
    if (values.seed === undefined)
      throw new UsageError(['socrypt lab replay expects --seed N, or the file of a plan.']);
    return runCommand(what, 0, values, io);
  }
  const { scenario: name, plan } = savedPlan(what);
  const until = number(values, 'until');
  const known = scenarios.find((one) => one.name === name);
  const verdict = await runPlan(plan, known ?? { name }, {
    ...(until === undefined ? {} : { until }),
    capture: values.pcap !== undefined,
  });
  await report(verdict, known ?? { name }, number(values, 'shrink') ?? 0, values, io);
  return verdict.verdict === 'fail' ? EXIT_FAILED : EXIT_OK;
}

export async function labCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parse(args);
  const [verb, what, ...rest] = positionals;
  if (values.help || verb === undefined) {
    io.out(LAB_HELP);
    return EXIT_OK;
  }
  if (rest.length !== 0)
    throw new UsageError([`socrypt lab ${verb}: ${JSON.stringify(rest[0])} is one too many.`]);
  switch (verb) {
    case 'list': {
      const width = Math.max(...scenarios.map(({ name }) => name.length)) + 2;
      io.out(scenarios.map(({ name, about }) => `  ${name.padEnd(width)}${about}\n`).join(''));
      io.out(`\nDevices that are broken on purpose: ${native.lab.devices.slice(1).join(', ')}\n`);
      return EXIT_OK;
    }
    case 'run':
      return await runCommand(what, SHRINK_SECONDS, values, io);
    case 'replay':
      return await replayCommand(what, values, io);
    default:
      throw new UsageError([`socrypt lab expects list, run or replay, but got ${JSON.stringify(verb)}.`]);
  }
}

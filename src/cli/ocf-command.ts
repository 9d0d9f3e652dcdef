/** `socrypt ocf`: which drivers there are, what they cost, what they do in a second; drivers of a server come and go. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { SocryptError } from '../errors.ts';
import { native } from '../native.ts';
import { askOperator } from '../observe/operator-socket.ts';
import { ALGORITHM_IDS, ALGORITHMS, type Algorithm, KEY_ALGORITHMS } from '../ocf/crypto-names.ts';
import type { DriverInfo } from '../ocf/driver-info.ts';
import { driverHelp } from '../ocf/driver-names.ts';
import { ocf } from '../ocf/ocf.ts';
import type { ServedDriver } from '../serve/drivers.ts';
import { UsageError } from '../serve/errors.ts';
import { EXIT_OK, type Io } from './io.ts';

export const OCF_HELP = `Usage: socrypt ocf list [OPTIONS]
       socrypt ocf bench [OPTIONS]
       socrypt ocf attach DRIVER --server PATH
       socrypt ocf withdraw DRIVER [--algorithm NAME] --server PATH

list    drivers, what they can do, what it costs (C1 per burst + C2 per op + C3 per byte, measured now), and from which size
        on an accelerator is predicted to beat software
bench   throughput by size and driver, key operations by the second
attach, withdraw
        a running server (\`socrypt serve --offload accelerator --control PATH\`) gives records to one driver more, or takes
        one back, by its name or its number in \`socrypt ocf list --server PATH\`; open connections notice nothing

  --driver NAME      one of those below; may be given more than once
                     (list: besides those that are always there; bench: default soft, thread, key)
  --server PATH      list: the drivers of that server, and what they did; default: SOCRYPT_CONTROL of the environment, but
                     for list
  --json             for programs
  --algorithm NAME   bench: may be given more than once (default: all that a driver has)
                     withdraw: take this one back, and leave the driver the others
  --sizes LIST       bench: bytes (default: 64,256,1024,4096,16384)
  --burst N          bench: ops at once, 1 to 256 (default: 32)
  --ms N             bench: per size (default: 100)

Drivers:
${driverHelp(2)}`;

const BURSTS = [1, 32] as const;
const SMALLEST = 1;
/** Those that can be had everywhere. */
const DEFAULT_BENCH = ['soft', 'thread', 'key'];

const idOf = (name: string): number => ALGORITHM_IDS.get(name)!;
const round = (value: number): string => Math.round(value).toLocaleString('en-US');
const nanoseconds = (value: number): string =>
  value >= 1000 ? `${(value / 1000).toFixed(1)} us` : `${value.toFixed(value < 10 ? 1 : 0)} ns`;

export interface Options {
  readonly server: string | null;
  readonly positionals: readonly string[];
  readonly drivers: readonly string[];
  readonly json: boolean;
  readonly algorithms: readonly string[];
  readonly sizes: readonly number[];
  readonly burst: number;
  readonly ms: number;
}

function optionsOf(args: readonly string[], positionalsExpected = 0): Options {
  const text = { type: 'string' } as const;
  const many = { ...text, multiple: true } as const;
  let values: { [name: string]: unknown };
  let positionals: string[];
  try {
    ({ values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: positionalsExpected > 0,
      options: {
        server: text,
        driver: many,
        json: { type: 'boolean' },
        algorithm: many,
        sizes: text,
        burst: text,
        ms: text,
      },
    }));
  } catch (error) {
    throw new UsageError([
      `${(error as Error).message.split('.')[0]}. \`socrypt ocf --help\` lists the options.`,
    ]);
  }
  const problems: string[] = [];
  const whole = (name: string, value: unknown, low: number, high: number, otherwise: number): number => {
    if (value === undefined) return otherwise;
    const number = Number(value);
    if (Number.isInteger(number) && number >= low && number <= high) return number;
    problems.push(
      `--${name} expects a whole number from ${low} to ${high}, but got ${JSON.stringify(value)}.`,
    );
    return otherwise;
  };
  const {
    sizes = '64,256,1024,4096,16384',
    algorithm = [],
    driver = [],
  } = values as {
    sizes?: string;
    algorithm?: string[];
    driver?: string[];
  };
  for (const name of algorithm) {
    if (!ALGORITHM_IDS.has(name)) {
      const known = [...ALGORITHM_IDS.keys()].join(', ');
      problems.push(`--algorithm expects one of ${known}, but got ${JSON.stringify(name)}.`);
    }
  }
  if (positionals.length !== positionalsExpected)
    problems.push(
      `Expected one driver, such as thread, but got ${positionals.length === 0 ? 'none' : positionals.join(' ')}.`,
    );
  const options = {
    server: typeof values.server === 'string' ? values.server : null,
    positionals,
    drivers: driver,
    json: values.json === true,
    algorithms: algorithm,
    sizes: sizes.split(',').map((size) => whole('sizes', size, SMALLEST, 1 << 24, 0)),
    burst: whole('burst', values.burst, 1, 256, 32),
    ms: whole('ms', values.ms, 1, 60_000, 100),
  };
  if (problems.length > 0) throw new UsageError(problems);
  return options;
}

type Offered = { readonly algorithm: string; readonly mac: string | null };
const nameOf = ({ algorithm, mac }: Offered): string => (mac === null ? algorithm : `${algorithm} + ${mac}`);

interface Crossover {
  readonly accelerator: string;
  readonly software: string;
  readonly algorithm: string;
  readonly burst: number;
  /** null: never. */
  readonly bytes: number | null;
}

function crossovers(drivers: readonly DriverInfo[]): Crossover[] {
  const all: Crossover[] = [];
  const software = drivers.filter(
    ({ kind, offers }) => kind === 'software' && offers.some(({ algorithm }) => algorithm in ALGORITHMS),
  );
  for (const fast of drivers.filter(({ kind }) => kind !== 'software')) {
    for (const near of software) {
      for (const { algorithm, mac } of fast.offers) {
        if (mac !== null || !(algorithm in ALGORITHMS) || algorithm === 'null') continue;
        if (!near.offers.some((offer) => offer.algorithm === algorithm && offer.mac === null)) continue;
        for (const burst of BURSTS) {
          const bytes = ocf.crossover(fast.id, near.id, algorithm as Algorithm, burst);
          all.push({ accelerator: fast.name, software: near.name, algorithm, burst, bytes });
        }
      }
    }
  }
  return all;
}

/** What it is, and a line for each of its algorithms. */
function describe(driver: Omit<DriverInfo, 'id'>): string {
  const facts = [
    driver.kind,
    driver.synchronous ? 'at once' : 'asynchronous',
    ...(driver.random ? ['random numbers'] : []),
    ...(driver.queueDepth === null ? [] : [`queue of ${round(driver.queueDepth)}`]),
    ...(driver.maxLength === null ? [] : [`at most ${round(driver.maxLength)} bytes`]),
    ...(driver.maxSessions === null ? [] : [`at most ${round(driver.maxSessions)} sessions`]),
    ...(driver.state === 'running' ? [] : [driver.state]),
  ];
  const offers = driver.offers.map((offer) => {
    const { batchNs, opNs, byteNs, lanes } = offer.cost;
    const cost = [`${nanoseconds(batchNs)} per burst`, `${nanoseconds(opNs)} per op`];
    if (!(offer.algorithm in KEY_ALGORITHMS)) cost.push(`${byteNs.toFixed(3)} ns per byte`);
    const shared = lanes > 1 ? `, ${lanes} at a time` : '';
    return `  ${nameOf(offer).padEnd(28)}${cost.join(' + ')}${shared}${offer.withdrawn ? ', withdrawn' : ''}\n`;
  });
  return `${facts.join(', ')}\n${offers.join('')}`;
}

async function listServed(server: string, json: boolean, io: Io): Promise<number> {
  const drivers = (await askOperator(server, { ask: 'drivers' })) as ServedDriver[];
  if (json) {
    io.out(`${JSON.stringify({ drivers }, null, 2)}\n`);
    return EXIT_OK;
  }
  for (const driver of drivers) {
    const { id, name, engines, ops, bytes, sessions, rescued, wrong } = driver;
    const who = id === null ? 'of the engines themselves' : `driver ${id}`;
    io.out(
      `${name} (${who}, in ${engines} engine${engines === 1 ? '' : 's'}): ${describe(driver)}` +
        `  did ${round(ops)} ops, ${round(bytes)} bytes; ${round(sessions)} sessions; ${round(rescued)} ops done elsewhere, ${round(wrong)} answers wrong\n`,
    );
  }
  return EXIT_OK;
}

async function change(ask: 'attach' | 'withdraw', args: readonly string[], io: Io): Promise<number> {
  const { positionals, algorithms, server: given, drivers } = optionsOf(args, 1);
  const server = given ?? io.env.SOCRYPT_CONTROL ?? null;
  const driver = positionals[0]!;
  const problems: string[] = [];
  if (server === null)
    problems.push(
      `\`socrypt ocf ${ask}\` expects --server PATH, the control socket of a server (\`socrypt serve --control PATH\`).`,
    );
  if (algorithms.length > (ask === 'withdraw' ? 1 : 0))
    problems.push(
      ask === 'withdraw'
        ? '`socrypt ocf withdraw` expects one --algorithm; withdraw one after the other.'
        : '`socrypt ocf attach` expects no --algorithm: a driver is attached with all that it has.',
    );
  if (drivers.length > 0)
    problems.push(
      `\`socrypt ocf ${ask}\` expects the driver without --driver: socrypt ocf ${ask} ${driver}.`,
    );
  if (problems.length > 0) throw new UsageError(problems);
  const [algorithm] = algorithms;
  // A file is this process's to find, wherever the server runs.
  const answer = await askOperator(server!, { ask, driver: absoluteModel(driver), algorithm });
  if (ask === 'attach') io.out(`${driver} is attached as driver ${String(answer)}\n`);
  else if (algorithm === undefined) io.out(`${driver} is withdrawn\n`);
  else io.out(`${algorithm} of ${driver} is withdrawn\n`);
  return EXIT_OK;
}

const MODEL = 'model:';
const absoluteModel = (driver: string): string =>
  driver.startsWith(MODEL) ? `${MODEL}${resolve(driver.slice(MODEL.length))}` : driver;

async function list({ drivers: names, json, server }: Options, io: Io): Promise<number> {
  if (server !== null) return await listServed(server, json, io);
  for (const name of names) await ocf.attach(name);
  const drivers = ocf.drivers();
  const crossing = crossovers(drivers);
  if (json) {
    io.out(`${JSON.stringify({ drivers, crossovers: crossing }, null, 2)}\n`);
    return EXIT_OK;
  }
  for (const driver of drivers) io.out(`${driver.name}: ${describe(driver)}`);
  for (const { accelerator, software, algorithm, burst, bytes } of crossing) {
    const which = burst === 1 ? 'alone' : `in bursts of ${burst}`;
    const from = bytes === null ? 'never' : `from ${round(bytes)} bytes on`;
    io.out(`${accelerator} beats ${software} at ${algorithm} ${which}: ${from}\n`);
  }
  return EXIT_OK;
}

interface Row {
  readonly driver: string;
  readonly algorithm: string;
  readonly mac: string | null;
  /** null: a key operation. */
  readonly bytes: number | null;
  readonly opsPerSecond: number;
  readonly megabytesPerSecond: number | null;
}

/** What the driver offers of what is asked for. It is attached for that, and so tested. */
async function offersOf(driver: string, algorithms: readonly string[]): Promise<readonly Offered[]> {
  const id = await ocf.attach(driver);
  const all = ocf.drivers().find((each) => each.id === id)?.offers ?? [];
  await ocf.detach(id);
  const offers = all.filter(({ algorithm }) => algorithms.length === 0 || algorithms.includes(algorithm));
  if (offers.length > 0) return offers;
  throw new SocryptError(
    'ERR_SOCRYPT_OCF_NO_DRIVER',
    `bench: expected ${driver} to have ${algorithms.join(' or ')}; it has ${all.map(nameOf).join(', ')}`,
  );
}

async function bench(options: Options, io: Io): Promise<number> {
  const { json, sizes, burst, ms, algorithms } = options;
  const drivers = options.drivers.length > 0 ? options.drivers : DEFAULT_BENCH;
  const rows: Row[] = [];
  for (const driver of drivers) {
    const wanted = options.drivers.length > 0 || algorithms.length === 0 ? algorithms : [];
    for (const { algorithm, mac } of await offersOf(driver, wanted)) {
      if (algorithms.length > 0 && !algorithms.includes(algorithm)) continue;
      const keys = algorithm in KEY_ALGORITHMS;
      const name = nameOf({ algorithm, mac });
      for (const bytes of keys ? [0] : sizes) {
        const result = native.ocf.measure(driver, idOf(algorithm), idOf(mac ?? 'null'), bytes, burst, ms);
        if (typeof result === 'string') {
          throw new SocryptError(
            'ERR_SOCRYPT_OCF_DRIVER',
            `bench: ${driver} at ${name}, ${bytes} bytes: ${result}`,
          );
        }
        const opsPerSecond = (result[0] / result[1]) * 1e9;
        const megabytesPerSecond = keys ? null : (opsPerSecond * bytes) / 1e6;
        rows.push({ driver, algorithm, mac, bytes: keys ? null : bytes, opsPerSecond, megabytesPerSecond });
      }
    }
  }
  if (json) {
    io.out(`${JSON.stringify(rows, null, 2)}\n`);
    return EXIT_OK;
  }
  const width = Math.max(...rows.map(({ driver }) => driver.length), 6) + 2;
  const line = (driver: string, algorithm: string, ...numbers: readonly string[]): string =>
    `${driver.padEnd(width)}${algorithm.padEnd(28)}${numbers.map((number) => number.padStart(13)).join('')}\n`;
  io.out(line('driver', 'algorithm', 'bytes', 'ops/s', 'MB/s'));
  for (const row of rows) {
    const size = row.bytes === null ? '' : round(row.bytes);
    const rate = row.megabytesPerSecond === null ? '' : round(row.megabytesPerSecond);
    io.out(line(row.driver, nameOf(row), size, round(row.opsPerSecond), rate));
  }
  return EXIT_OK;
}

export async function ocfCommand(args: readonly string[], io: Io): Promise<number> {
  const [what, ...rest] = args;
  if (what === 'list') return await list(optionsOf(rest), io);
  if (what === 'bench') return await bench(optionsOf(rest), io);
  if (what === 'attach' || what === 'withdraw') return await change(what, rest, io);
  throw new UsageError([
    what === undefined
      ? '`socrypt ocf` expects list, bench, attach or withdraw. `socrypt ocf --help` says what they do.'
      : `\`socrypt ocf\` expects list, bench, attach or withdraw, but got ${JSON.stringify(what)}.`,
  ]);
}

/** Drivers that a server gives records to: attached and withdrawn while it serves, in all engines alike. */
import { resolve } from 'node:path';
import { SocryptError } from '../errors.ts';
import type { AcceleratorOptions, NativeDriverInfo } from '../native.ts';
import type { Log } from '../observe/log.ts';
import { ALGORITHM_IDS } from '../ocf/crypto-names.ts';
import { type DriverInfo, driverInfo, type OfferInfo } from '../ocf/driver-info.ts';
import type { Plane } from '../plane/plane.ts';

export interface WithdrawOptions {
  /** This one alone, such as 'aes-128-gcm'; its sessions move with their next record. */
  readonly algorithm?: string;
  /** How long records that the driver has begun may take. Default: 1000. */
  readonly deadlineMs?: number;
}

/** A driver with what it did in all engines together. */
export interface ServedDriver extends Omit<DriverInfo, 'id'> {
  /** null: the engines' own software. */
  readonly id: number | null;
  /** By which it was attached. */
  readonly attached: string | null;
  /** That have it. */
  readonly engines: number;
}

interface Entry {
  readonly id: number;
  readonly attached: string;
  /** Its number in each engine. */
  readonly numbers: readonly number[];
}

const DEADLINE_MS = 1000;
const MAX_DEADLINE_MS = 60_000;

/** One card has one name, however its file is written. */
const whole = (which: number | string): string =>
  String(which).replace(/^model:(.+)$/, (_, file: string) => `model:${resolve(file)}`);

export class ServerDrivers {
  readonly #plane: () => Plane | undefined;
  readonly #accelerator: AcceleratorOptions | null;
  readonly #log: Log;
  #entries: Entry[] | undefined;
  #last = 0;
  #changes: Promise<unknown> = Promise.resolve();

  constructor(plane: () => Plane | undefined, accelerator: AcceleratorOptions | null, log: Log) {
    this.#plane = plane;
    this.#accelerator = accelerator;
    this.#log = log;
  }

  /** null: no records are for drivers, or the engines' own software is meant by one. */
  names(): { readonly drivers: readonly string[]; readonly always: boolean } | null {
    if (this.#accelerator === null) return null;
    const drivers = this.#all().map(({ attached }) => attached);
    if (drivers.length === 0 && this.#accelerator.driver === 'soft') return null;
    return { drivers, always: this.#accelerator.always };
  }

  list(): ServedDriver[] {
    const engines = this.#plane?.()?.drivers() ?? [];
    const own = engines.flatMap((drivers) => drivers.slice(0, 1));
    const rows = this.#all().map(({ id, attached, numbers }) => {
      const infos = engines.flatMap((drivers, i) => drivers.filter((one) => one.id === numbers[i]));
      return summed(infos, id, attached);
    });
    return [summed(own, null, null), ...rows].filter((row) => row !== null);
  }

  attach(name: string): Promise<number> {
    return this.#enqueue(async (plane) => {
      if (name === 'soft')
        throw new SocryptError(
          'ERR_SOCRYPT_DRIVER',
          'The driver soft is what every engine has already; expected another one.',
        );
      const numbers = await plane.attachDriver(name);
      const id = this.#next();
      this.#all().push({ id, attached: name, numbers });
      this.#log.info({ driver: name, id }, 'a driver was attached');
      return id;
    });
  }

  withdraw(which: number | string, options: WithdrawOptions = {}): Promise<void> {
    const { algorithm, deadlineMs = DEADLINE_MS } = options;
    const number = algorithm === undefined ? null : ALGORITHM_IDS.get(algorithm);
    return this.#enqueue(async (plane) => {
      const entry = this.#find(which);
      if (number === undefined)
        throw new SocryptError(
          'ERR_SOCRYPT_OCF_ALGORITHM',
          `Expected the name of an algorithm, but got ${JSON.stringify(algorithm)}.`,
        );
      if (!Number.isInteger(deadlineMs) || deadlineMs < 0 || deadlineMs > MAX_DEADLINE_MS)
        throw new SocryptError(
          'ERR_SOCRYPT_OCF_RANGE',
          `Expected deadlineMs to be a whole number up to ${MAX_DEADLINE_MS}, but got ${String(deadlineMs)}.`,
        );
      await plane.withdrawDriver(entry.numbers, number, deadlineMs);
      if (number === null) this.#entries = this.#all().filter((one) => one !== entry);
      this.#log.info({ driver: entry.attached, id: entry.id, algorithm }, 'a driver was withdrawn');
    });
  }

  #find(which: number | string): Entry {
    const all = this.#all();
    const names = new Map(this.list().map(({ id, name }) => [id, name]));
    const found = all.filter(
      ({ id, attached }) =>
        String(id) === String(which) || whole(attached) === whole(which) || names.get(id) === which,
    );
    if (found.length === 1) return found[0]!;
    const listed = (found.length > 1 ? found : all).map(({ id, attached }) => `${id} (${attached})`);
    const what = JSON.stringify(which);
    throw new SocryptError(
      'ERR_SOCRYPT_NO_DRIVER',
      found.length > 1
        ? `The driver ${what} is attached more than once; say which by its number: ${listed.join(', ')}.`
        : `Expected a driver that is attached (${listed.join(', ') || 'there is none'}), but got ${what}.`,
    );
  }

  /** The first is what the option offload named. */
  #all(): Entry[] {
    if (this.#entries !== undefined) return this.#entries;
    const engines = this.#plane?.()?.drivers() ?? [];
    if (this.#accelerator === null || engines.length === 0) return [];
    const numbers = engines.map((drivers) => drivers[1]?.id ?? 0);
    const attached = this.#accelerator.driver;
    this.#entries = attached === 'soft' ? [] : [{ id: this.#next(), attached, numbers }];
    return this.#entries;
  }

  #next(): number {
    this.#last += 1;
    return this.#last;
  }

  /** One change at a time. */
  #enqueue<T>(change: (plane: Plane) => Promise<T>): Promise<T> {
    const result = this.#changes.then(() => {
      if (this.#accelerator === null)
        throw new SocryptError(
          'ERR_SOCRYPT_NO_ACCELERATOR',
          'Expected a server that gives its records to drivers; start it with --offload accelerator, or accelerator:DRIVER.',
        );
      const plane = this.#plane();
      if (plane === undefined)
        throw new SocryptError('ERR_SOCRYPT_CLOSED', 'Expected a running server, but it is closed.');
      this.#all();
      return change(plane);
    });
    this.#changes = result.catch(() => {});
    return result;
  }
}

const COUNTS = [
  'sessions',
  'inFlight',
  'queued',
  'ops',
  'bytes',
  'failed',
  'refused',
  'rescued',
  'checks',
  'wrong',
] as const;
const OFFER_COUNTS = ['ops', 'bytes', 'failed', 'sessions'] as const;

const plus = <K extends string>(a: Record<K, number>, b: Record<K, number>, keys: readonly K[]) =>
  Object.fromEntries(keys.map((key) => [key, a[key] + b[key]])) as Record<K, number>;

const mergeOffers = (a: readonly OfferInfo[], b: readonly OfferInfo[]): OfferInfo[] =>
  a.map((offer) => {
    const same = b.find(({ algorithm, mac }) => algorithm === offer.algorithm && mac === offer.mac);
    return same === undefined ? offer : { ...offer, ...plus(offer, same, OFFER_COUNTS) };
  });

/** What it costs is as the first engine measured it. null: no engine has it. */
function summed(
  infos: readonly NativeDriverInfo[],
  id: number | null,
  attached: string | null,
): ServedDriver | null {
  const [first, ...rest] = infos.map(driverInfo);
  if (first === undefined) return null;
  let sum = first;
  for (const one of rest) {
    sum = {
      ...sum,
      ...plus(sum, one, COUNTS),
      state: sum.state === 'running' ? one.state : sum.state,
      offers: mergeOffers(sum.offers, one.offers),
    };
  }
  return { ...sum, id, attached, engines: infos.length };
}

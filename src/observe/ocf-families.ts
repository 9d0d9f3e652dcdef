/** The crypto framework's metrics: what each driver did, by class of session. */
import type { DriverInfo, OfferInfo } from '../ocf/driver-info.ts';
import type { Family, Sample } from './families.ts';

export interface OcfSnapshot {
  readonly drivers: readonly DriverInfo[];
}

const STATES = ['running', 'draining', 'quarantined'] as const;
const EVENTS = ['refused', 'rescued', 'checks', 'wrong'] as const;

/** A session's class: its algorithm, or its cipher and MAC. */
const classOf = ({ algorithm, mac }: OfferInfo): string => (mac === null ? algorithm : `${algorithm}+${mac}`);

/** Engines and threads have a driver of the same name each: they are one to an operator. */
function summed(samples: readonly Sample[]): readonly Sample[] {
  const by = new Map<string, Sample>();
  for (const { labels, value } of samples) {
    const key = JSON.stringify(labels);
    by.set(key, { labels, value: value + (by.get(key)?.value ?? 0) });
  }
  return [...by.values()];
}

const each =
  (samples: (driver: DriverInfo) => readonly Sample[]) =>
  ({ drivers }: OcfSnapshot): readonly Sample[] =>
    summed(drivers.flatMap(samples));

/** Classes that nobody has asked for are left out. */
const byClass = (of: 'ops' | 'bytes' | 'failed' | 'sessions') =>
  each(({ name, offers }) =>
    offers
      .filter(({ ops, failed, sessions }) => ops + failed + sessions > 0)
      .map((offer) => ({ labels: { driver: name, class: classOf(offer) }, value: offer[of] })),
  );

export const ocfFamilies: readonly Family<OcfSnapshot>[] = [
  {
    name: 'socrypt_ocf_drivers',
    type: 'gauge',
    help: 'Drivers of the crypto framework over all engines and threads, by state.',
    samples: each(({ id, name, state }) =>
      STATES.map((one) => ({
        labels: { driver: name, state: one },
        value: id !== 0 && state === one ? 1 : 0,
      })),
    ),
  },
  {
    name: 'socrypt_ocf_sessions',
    type: 'gauge',
    help: 'Sessions that a driver holds, by class: algorithm, or cipher and MAC.',
    samples: byClass('sessions'),
  },
  {
    name: 'socrypt_ocf_pending',
    type: 'gauge',
    help: 'Operations that wait for a driver or that it has.',
    samples: each(({ name, inFlight, queued }) => [{ labels: { driver: name }, value: inFlight + queued }]),
  },
  {
    name: 'socrypt_ocf_ops_total',
    type: 'counter',
    help: 'Operations that a driver ended, by class of session.',
    samples: byClass('ops'),
  },
  {
    name: 'socrypt_ocf_bytes_total',
    type: 'counter',
    help: 'Bytes of payload of these operations.',
    samples: byClass('bytes'),
  },
  {
    name: 'socrypt_ocf_failed_total',
    type: 'counter',
    help: 'Those of them that a driver gave back undone; another one did them where there was one.',
    samples: byClass('failed'),
  },
  {
    name: 'socrypt_ocf_events_total',
    type: 'counter',
    help: 'Bursts that a driver did not take all of (refused), operations taken from it and done elsewhere (rescued), known-answer tests since it was attached (checks), wrong answers (wrong).',
    samples: each((driver) =>
      EVENTS.map((event) => ({ labels: { driver: driver.name, event }, value: driver[event] })),
    ),
  },
];

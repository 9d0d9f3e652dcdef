/** Which offload path is taken, and why not a better one: the question that silent fallback leaves open. */
import { type AcceleratorOptions, native } from '../native.ts';
import type { Settings } from './options.ts';

export interface OffloadReport {
  readonly path: 'software' | 'accelerator' | 'nic';
  /** What seals: 'ipsec-mb 1.3.0 (VAES)'. */
  readonly engine: string;
  /** One sentence. */
  readonly reason: string;
  /** Each path that was not taken, and why. */
  readonly others: readonly {
    readonly path: 'kernel' | 'nic' | 'accelerator' | 'software';
    readonly why: string;
  }[];
}

type OffloadSettings = Pick<Settings, 'offload' | 'offloadRecords' | 'offloadCheck'>;

/** What `accelerator[:DRIVER]` says; null for any other path. */
export function acceleratorOf(settings: OffloadSettings): AcceleratorOptions | null {
  const [path, ...driver] = settings.offload.split(':');
  if (path !== 'accelerator') return null;
  return {
    driver: driver.join(':') || 'thread',
    recordsInFlight: settings.offloadRecords,
    checkEvery: settings.offloadCheck,
    // Whoever names a driver wants to see it work; without a name it is the times that decide.
    always: driver.length > 0,
  };
}

function engineOf(drivers: readonly string[], always: boolean): string {
  const help = always
    ? `when ${drivers.length > 1 ? 'they are' : 'it is'} full or gone`
    : 'whenever that is predicted to be faster';
  return `${drivers.join(' and ')}, ${native.crypto.softDriverName()} ${help}`;
}

// What the machine could do is said by `doctor`; to advise it here would not change the path.
const NO_KERNEL = { path: 'kernel', why: 'this version hands the kernel no keys' } as const;
const NO_NIC = { path: 'nic', why: 'no inline-crypto NIC is attached' } as const;

export function chooseOffload(settings: OffloadSettings): OffloadReport {
  const engine = native.crypto.softDriverName();
  if (settings.offload === 'software') {
    return { path: 'software', engine, reason: 'asked for by the option offload', others: [] };
  }
  const accelerator = acceleratorOf(settings);
  if (accelerator !== null) {
    return {
      path: 'accelerator',
      engine: engineOf([accelerator.driver], accelerator.always),
      reason: 'asked for by the option offload',
      others: [NO_KERNEL, NO_NIC],
    };
  }
  const why = 'not asked for: --offload accelerator:thread has another thread encrypt';
  return {
    path: 'software',
    engine,
    reason: 'the cheapest path of this version',
    others: [NO_KERNEL, NO_NIC, { path: 'accelerator', why }],
  };
}

/** The report as it is now; null: of this server's records none are for drivers. */
export function offloadNow(
  report: OffloadReport,
  running: number,
  now: { readonly drivers: readonly string[]; readonly always: boolean } | null,
): OffloadReport {
  if (report.path !== 'accelerator' || now === null) return report;
  const { drivers, always } = now;
  if (running > 0) return { ...report, engine: engineOf(drivers, always) };
  const withdrawn = drivers.length === 0;
  return {
    path: 'software',
    engine: native.crypto.softDriverName(),
    reason: withdrawn
      ? 'every driver was withdrawn, and their sessions have moved'
      : 'the accelerator is gone, and its sessions have moved',
    others: [
      ...report.others,
      {
        path: 'accelerator',
        why: withdrawn ? 'no driver is attached' : `no driver is left of ${drivers.join(', ')}`,
      },
    ],
  };
}

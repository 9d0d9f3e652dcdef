/** Which offload path is taken, and why not a better one: the question that silent fallback leaves open. */
import { native } from '../native.ts';
import type { Settings } from './options.ts';

export interface OffloadReport {
  readonly path: 'software' | 'nic';
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

/** With `nic` it is the NIC that says (nic.ts), once it is there. */
export function chooseOffload(wanted: Settings['offload']): OffloadReport {
  const engine = native.crypto.softDriverName();
  if (wanted === 'software') {
    return { path: 'software', engine, reason: 'asked for by the option offload', others: [] };
  }
  // What the machine could do is said by `doctor`; to advise it here would not change the path.
  const others: OffloadReport['others'] = [
    { path: 'kernel', why: 'this version hands the kernel no keys' },
    { path: 'nic', why: 'no inline NIC is attached (--offload nic)' },
    { path: 'accelerator', why: 'no driver but the software one is registered' },
  ];
  return { path: 'software', engine, reason: 'the best path that needs nothing else', others };
}

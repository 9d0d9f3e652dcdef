/** Which offload path is taken, and why not a better one: the question that silent fallback leaves open. */
import { native, type ProbeResult } from '../native.ts';
import type { Settings } from './options.ts';

export interface OffloadReport {
  readonly path: 'software';
  /** What seals: 'ipsec-mb 1.3.0 (VAES)'. */
  readonly engine: string;
  /** One sentence. */
  readonly reason: string;
  /** Each path that was not taken, and why. */
  readonly others: readonly { readonly path: 'kernel' | 'nic' | 'accelerator'; readonly why: string }[];
}

/** `kernelTls`: the probe's answer; a parameter so that both answers can be tested. */
export function chooseOffload(
  wanted: Settings['offload'],
  kernelTls: () => ProbeResult = () => native.probe.kernelTls(),
): OffloadReport {
  const engine = native.crypto.softDriverName();
  if (wanted === 'software') {
    return { path: 'software', engine, reason: 'asked for by the option offload', others: [] };
  }
  const kernel = kernelTls();
  const others: OffloadReport['others'] = [
    {
      path: 'kernel',
      why: kernel.ok ? 'this kernel has it, but this version hands it no keys' : kernel.detail,
    },
    { path: 'nic', why: 'no inline-crypto NIC is attached' },
    { path: 'accelerator', why: 'no driver but the software one is registered' },
  ];
  return { path: 'software', engine, reason: 'the best path on this machine', others };
}

/** Rights of a process, as Linux divides root's (capabilities(7)). */
import { readFileSync } from 'node:fs';

/** What the NIC takes, with its bit, and what for. */
const NEEDED = [
  {
    name: 'CAP_NET_ADMIN',
    bit: 12n,
    for: 'the host port, its addresses, and the sequence numbers of connections',
  },
  { name: 'CAP_NET_RAW', bit: 13n, for: 'AF_XDP sockets' },
  { name: 'CAP_BPF', bit: 39n, for: 'the program that steers frames' },
] as const;
const SYS_ADMIN = 21n;

/** The effective set out of /proc/PID/status; null: it is not in there. */
export function effectiveCapabilities(status: string): bigint | null {
  const digits = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return digits === undefined ? null : BigInt(`0x${digits}`);
}

/** Those of the needed that are not in `effective`; CAP_SYS_ADMIN stands for CAP_BPF, which is its part (Linux 5.8). */
export function missingCapabilities(
  effective: bigint,
): readonly { readonly name: string; readonly for: string }[] {
  const has = (bit: bigint) => ((effective >> bit) & 1n) === 1n;
  return NEEDED.filter(({ name, bit }) => !has(bit) && !(name === 'CAP_BPF' && has(SYS_ADMIN)));
}

/** Of this process; none when /proc does not tell: then the kernel's refusals do. */
export function missingHere(): readonly { readonly name: string; readonly for: string }[] {
  try {
    const effective = effectiveCapabilities(readFileSync('/proc/self/status', 'latin1'));
    return effective === null ? [] : missingCapabilities(effective);
  } catch {
    return [];
  }
}

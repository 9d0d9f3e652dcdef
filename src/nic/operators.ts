/** What operators ask of a NIC of this process: that of `socrypt nic up`, or one that a server has made for itself. */
import { SocryptError } from '../errors.ts';
import type { NicFlow, NicRecordTrace, NicStatus } from '../native.ts';
import { counterFacts, NIC_ERROR, type OwnNic } from './nic.ts';

export interface NicOperatorStatus extends NicStatus {
  readonly pid: number;
  readonly wire: string | null;
  readonly portDriver: string;
  readonly resync: string;
  /** Those that are not zero. */
  readonly counters: Readonly<Record<string, number>>;
}

/** Numbers, addresses and states: never keys, never content. */
export interface AskedNic {
  status(): NicOperatorStatus;
  /** Connections that it seals for. */
  flows(): NicFlow[];
  /** What became of a flow's last records, oldest first; null: no such flow. */
  trace(flow: number): NicRecordTrace[] | null;
}

export function askedNic(nic: OwnNic): AskedNic {
  return {
    status() {
      const counts = nic.counters();
      const named = counterFacts.map(({ name }, i) => [name, counts[i] ?? 0] as const);
      const counters = Object.fromEntries(named.filter(([, n]) => n !== 0));
      const { wire, portDriver, resync } = nic.options;
      return { pid: process.pid, wire, portDriver, resync, ...nic.status(), counters };
    },
    flows: () => nic.native.flows(),
    trace: (flow) => nic.native.trace(flow),
  };
}

export interface NicQuestion {
  readonly ask: keyof AskedNic;
  /** Of `trace`. */
  readonly flow?: number | undefined;
}

/** Throws ERR_SOCRYPT_NIC when the question is none. `also`: what else whoever calls this answers. */
export function answerOfNic(nic: AskedNic, question: unknown, also: readonly string[] = []): unknown {
  const { ask, flow } = (typeof question === 'object' ? (question ?? {}) : {}) as Partial<NicQuestion>;
  switch (ask) {
    case 'status':
      return nic.status();
    case 'flows':
      return nic.flows();
    case 'trace':
      if (!Number.isSafeInteger(flow) || flow! < 0) throw notUnderstood('flow to be the id of a flow', flow);
      return nic.trace(flow!);
    default: {
      const known = ['status', 'flows', 'trace', ...also];
      throw notUnderstood(`ask to be ${known.slice(0, -1).join(', ')} or ${known.at(-1)}`, ask);
    }
  }
}

// A question is one short line, so what came can be repeated.
const notUnderstood = (expected: string, came: unknown) =>
  new SocryptError(
    NIC_ERROR,
    `The question was not understood: expected ${expected}, but got ${came === undefined ? 'nothing' : JSON.stringify(came)}.`,
  );

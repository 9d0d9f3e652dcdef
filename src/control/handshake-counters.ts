/** What is counted about handshakes: by name, so that threads can count into shared memory (shared-counters.ts). */

export interface HandshakeCounters {
  readonly full: number;
  /** By a session of before. */
  readonly resumed: number;
  /** Sessions that were offered and not resumed, by reason, as `tls/session` names them; their handshakes are in `full`. */
  readonly notResumed: ReadonlyMap<string, number>;
  /** NewSessionTicket messages sent. */
  readonly tickets: number;
  /** By reason, as `tls/` names them. */
  readonly failed: ReadonlyMap<string, number>;
  /** Connections ended for a message after their handshake, by reason. */
  readonly failedAfter: ReadonlyMap<string, number>;
  /** Keys 'suite group alpn' as in the negotiated_total metric's labels, tab-separated. */
  readonly negotiated: ReadonlyMap<string, number>;
  /** Handshakes under way. */
  readonly pending: number;
}

/** Where counts go. Names are few and of our own making: nothing a peer sends becomes one. */
export interface CounterSink {
  add(name: string, by: number): void;
}

export const FULL = 'full';
export const RESUMED = 'resumed';
export const TICKETS = 'tickets';
export const NOT_RESUMED = 'notResumed\t';
export const PENDING = 'pending';
export const FAILED = 'failed\t';
export const FAILED_AFTER = 'failedAfter\t';
export const NEGOTIATED = 'negotiated\t';

/** For one thread. */
export class CounterMap implements CounterSink {
  readonly values = new Map<string, number>();

  add(name: string, by: number): void {
    this.values.set(name, (this.values.get(name) ?? 0) + by);
  }
}

/** Sums counts of several threads. */
export function readCounters(parts: Iterable<ReadonlyMap<string, number>>): HandshakeCounters {
  const sum = new CounterMap();
  for (const part of parts) for (const [name, value] of part) sum.add(name, value);
  const under = (prefix: string) =>
    new Map(
      [...sum.values]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, value]) => [name.slice(prefix.length), value]),
    );
  return {
    full: sum.values.get(FULL) ?? 0,
    resumed: sum.values.get(RESUMED) ?? 0,
    notResumed: under(NOT_RESUMED),
    tickets: sum.values.get(TICKETS) ?? 0,
    failed: under(FAILED),
    failedAfter: under(FAILED_AFTER),
    negotiated: under(NEGOTIATED),
    pending: sum.values.get(PENDING) ?? 0,
  };
}

/** What serve() takes and gives. */
import type { TicketKeyCallback } from '../control/tickets/ticket-keys.ts';
import type { AskedNic } from '../nic/operators.ts';
import type { BoundAddress } from '../observe/listener.ts';
import type { Log } from '../observe/log.ts';
import type { MetricRegistry } from '../observe/registry.ts';
import type { LoadedCredentials } from './credentials.ts';
import type { ServedDriver, WithdrawOptions } from './drivers.ts';
import type { OffloadReport } from './offload.ts';
import type { OptionKey, ServeSettings, Settings } from './options.ts';

export interface ServeOptions extends ServeSettings {
  /** Takes the metrics: a registry of prom-client, or anything with its shape. */
  readonly registry?: MetricRegistry | undefined;
  /** Takes the log: a pino logger, or anything with its methods. Default: JSON on stderr at `logLevel`. */
  readonly logger?: Log | undefined;
  /** Gives the ticket keys, in place of a file: at the start, at a reload, and about once a minute. */
  readonly ticketKeyCallback?: TicketKeyCallback | undefined;
}

export interface ReloadReport {
  /** Options whose new values are in force. */
  readonly applied: readonly OptionKey[];
  /** Options that differ, but count only at a start. */
  readonly needRestart: readonly OptionKey[];
}

export interface ServerStats {
  readonly uptimeSeconds: number;
  readonly connections: number;
  readonly requests: number;
  /** Body bytes. */
  readonly responseBytes: number;
  readonly handshakes: { readonly full: number; readonly resumed: number; readonly failed: number };
  /** Every counter of the engines, summed over them; names as in native/engine/counters.def. */
  readonly counters: Readonly<Record<string, number>>;
}

export interface Server {
  readonly address: BoundAddress & { readonly url: string };
  /** Where the admin and the redirect listener are; null: off. */
  readonly adminAddress: BoundAddress | null;
  readonly redirectAddress: BoundAddress | null;
  readonly settings: Settings;
  readonly credentials: LoadedCredentials;
  readonly offload: OffloadReport;
  /**
   * Takes over new options, or the same ones with what their files hold now, and opens the access log anew.
   * No connection is dropped. Rejects, with everything as it was, when any part of it fails; a function that makes the
   * options is a part.
   */
  reload(options?: ServeSettings | (() => ServeSettings)): Promise<ReloadReport>;
  stats(): ServerStats;
  /**
   * Gives records to another driver of the crypto framework (`'thread'`, `'model:FILE'`, …): in every engine, once it has
   * given its known answers in each, or in none. Open connections follow. Resolves to its number. Rejects with
   * ERR_SOCRYPT_DRIVER, and with ERR_SOCRYPT_NO_ACCELERATOR unless the option offload is `accelerator`.
   */
  attachDriver(name: string): Promise<number>;
  /**
   * Takes a driver back, by its number or name, or one algorithm of it. Records that it has begun may end within the deadline;
   * everything else goes elsewhere at once, to software if there is nobody. Peers notice nothing.
   */
  withdrawDriver(driver: number | string, options?: WithdrawOptions): Promise<void>;
  /** Those that records are given to, and the engines' own software. */
  drivers(): ServedDriver[];
  /**
   * The NIC that the server has made for itself (the option offload is `nic`): its state, its flows, and what became of
   * their records. Throws ERR_SOCRYPT_NO_NIC when there is none, or when it is another process's.
   */
  nic(): AskedNic;
  /**
   * Stops accepting and waits for open transfers, at most `deadlineMs` (default: the option drainTimeout). Called
   * again it cuts the wait to the new deadline's. Resolves when everything is closed.
   */
  close(deadlineMs?: number): Promise<void>;
}

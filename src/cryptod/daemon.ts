/** cryptod's control: what it may lend to whom. The work is done by a native thread (native/cryptod). */
import { type NativeCryptod, native } from '../native.ts';
import { DEFAULTS } from './defaults.ts';

export interface CryptodDaemonOptions {
  readonly path: string;
  /** Of the socket. Default: 0o600. */
  readonly mode?: number;
  /** User ids that may connect. Default: one's own. */
  readonly users?: readonly number[];
  /** Lends what only this machine's processors do. Default: false, and clients do it themselves. */
  readonly allowSoftware?: boolean;
  /** Default: ['soft']. */
  readonly drivers?: readonly string[];
  readonly maxConnections?: number;
  /** Per connection, as those below. */
  readonly maxSessions?: number;
  readonly maxPending?: number;
  readonly maxArenaBytes?: number;
}

export class CryptodDaemon {
  readonly path: string;
  readonly #native: NativeCryptod;

  constructor(options: CryptodDaemonOptions) {
    this.path = options.path;
    this.#native = new native.cryptod.Daemon(
      options.path,
      options.mode ?? DEFAULTS.mode,
      options.users ?? [],
      options.allowSoftware ?? false,
      options.drivers ?? DEFAULTS.drivers,
      options.maxConnections ?? DEFAULTS.maxConnections,
      options.maxSessions ?? DEFAULTS.maxSessions,
      options.maxPending ?? DEFAULTS.maxPending,
      options.maxArenaBytes ?? DEFAULTS.maxArenaBytes,
    );
  }

  /** Throws ERR_SOCRYPT_CRYPTOD: the path is taken, or a driver cannot be had. */
  start(): void {
    this.#native.start();
  }
  /** Ends every connection; removes the socket. */
  stop(): void {
    this.#native.stop();
  }
  /** Names, as the drivers give them. */
  drivers(): string[] {
    return this.#native.drivers();
  }
  counters(): Record<string, number> {
    const values = this.#native.counters();
    return Object.fromEntries(native.cryptod.Daemon.counterNames.map((name, i) => [name, values[i] ?? 0]));
  }
}

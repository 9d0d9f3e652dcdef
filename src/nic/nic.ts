/**
 * An inline NIC, of this process or of another. Of this process: its host port is made before the engines begin, and removed after they have ended.
 * A device that dies is replaced as soon as that is possible; until then nothing leaves.
 */
import { type ErrorCode, SocryptError } from '../errors.ts';
import { type NativeNic, type NativeRemoteNic, type NicOptions, type NicStatus, native } from '../native.ts';
import { missingHere } from './capabilities.ts';

export const NIC_ERROR: ErrorCode = 'ERR_SOCRYPT_NIC';
export const RIGHTS_ERROR: ErrorCode = 'ERR_SOCRYPT_NIC_RIGHTS';

/** What of a log is used here. */
export interface NicLog {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
}

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 5000;

/** One number per counter of nic/device/counters.def, in the order of `counterFacts`. */
export const counterFacts: readonly { readonly name: string; readonly help: string }[] =
  native.Nic.counterFacts;

/** Throws ERR_SOCRYPT_NIC_RIGHTS. */
function requireRights(names?: readonly string[]): void {
  const missing = missingHere().filter((one) => names === undefined || names.includes(one.name));
  if (missing.length === 0) return;
  const list = missing.map((one) => `${one.name} (${one.for})`).join(', ');
  throw new SocryptError(
    RIGHTS_ERROR,
    `The NIC needs rights that this process has not: ${list}; run as root, or grant them (setcap, AmbientCapabilities= of systemd).`,
  );
}

/** Of this process, or lent by another one. Constructors throw, and leave nothing behind then. */
export abstract class Nic {
  /** What it is called in logs and errors. */
  readonly #name: string;
  readonly #log: NicLog;
  #retry: NodeJS.Timeout | undefined;
  #pause = FIRST_RETRY_MS;
  #dead = false;
  #detached = false;

  protected constructor(name: string, log: NicLog) {
    this.#name = name;
    this.#log = log;
  }

  /** For an engine. */
  abstract readonly native: NativeNic | NativeRemoteNic;
  status(): NicStatus {
    return this.native.status();
  }
  /** null: they are another process's to tell. */
  abstract counters(): Float64Array | null;

  /** After the last engine has ended: removes what was made. Idempotent. */
  detach(): void {
    this.#detached = true;
    clearTimeout(this.#retry);
    this.native.close();
  }

  protected onChange(): void {
    if (this.#detached) return;
    const { alive, reason } = this.status();
    if (alive) {
      if (this.#dead) this.#log.info({ nic: this.#name }, 'the NIC is there again');
      this.#dead = false;
      return;
    }
    if (this.#dead) return;
    this.#dead = true;
    this.#pause = FIRST_RETRY_MS;
    this.#log.warn(
      { nic: this.#name, reason },
      'the NIC has died; nothing leaves by it until another is in its place',
    );
    this.#tryAgain();
  }

  #tryAgain(): void {
    this.#retry = setTimeout(() => {
      try {
        this.native.restart();
      } catch (error) {
        this.#log.warn({ reason: (error as Error).message }, 'the NIC could not be replaced yet');
        this.#pause = Math.min(2 * this.#pause, LAST_RETRY_MS);
        this.#tryAgain();
      }
    }, this.#pause);
    this.#retry.unref();
  }
}

function wireOf({ wire, portDriver }: NicOptions): string {
  const dpdk = portDriver.startsWith('dpdk:') ? `the DPDK device ${portDriver.slice('dpdk:'.length)}` : null;
  const taken = wire === null ? null : `the interface ${wire}`;
  return taken !== null && dpdk !== null ? `${taken} with ${dpdk}` : (taken ?? dpdk ?? 'no wire');
}

/** Host port, device and wire port in this process. */
export class OwnNic extends Nic {
  readonly options: NicOptions;
  override readonly native: NativeNic;

  /** Throws ERR_SOCRYPT_NIC_RIGHTS, or ERR_SOCRYPT_NIC with what is missing. */
  constructor(options: NicOptions, log: NicLog) {
    super(options.wire ?? options.portDriver, log);
    requireRights();
    this.options = options;
    try {
      this.native = new native.Nic(options, () => this.onChange());
    } catch (error) {
      throw new SocryptError(
        NIC_ERROR,
        `Expected to take over ${wireOf(options)}, with the host port ${options.hostPort}, but ${(error as Error).message}.`,
        { cause: error },
      );
    }
  }

  override counters(): Float64Array {
    return this.native.counters();
  }
  /** Makes the device die, as tests and drills do. */
  kill(reason: string): void {
    this.native.kill(reason);
  }
}

/** That of `socrypt nic up`. */
export class LentNic extends Nic {
  override readonly native: NativeRemoteNic;

  /** `path`: the socket of the process that lends it. */
  constructor(path: string, log: NicLog) {
    super(path, log);
    // The ports are the other process's. Of a connection's own socket the next sequence number is asked here.
    requireRights(['CAP_NET_ADMIN']);
    try {
      this.native = new native.RemoteNic(path, () => this.onChange());
    } catch (error) {
      throw new SocryptError(
        NIC_ERROR,
        `Expected a NIC to be lent at ${path} (socrypt nic up), but ${(error as Error).message}.`,
        { cause: error },
      );
    }
  }

  override counters(): null {
    return null;
  }
}

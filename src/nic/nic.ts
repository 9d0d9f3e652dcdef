/**
 * The inline NIC of this process: its host port is made before the engines begin, and removed after they have ended.
 * A device that dies is replaced as soon as that is possible; until then nothing leaves.
 */
import { type ErrorCode, SocryptError } from '../errors.ts';
import { type NativeNic, type NicOptions, type NicStatus, native } from '../native.ts';
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

export class Nic {
  readonly options: NicOptions;
  readonly #nic: NativeNic;
  readonly #log: NicLog;
  #retry: NodeJS.Timeout | undefined;
  #pause = FIRST_RETRY_MS;
  #dead = false;
  #detached = false;

  /** Throws ERR_SOCRYPT_NIC_RIGHTS, or ERR_SOCRYPT_NIC with what is missing; nothing is left behind then. */
  constructor(options: NicOptions, log: NicLog) {
    const missing = missingHere();
    if (missing.length > 0) {
      const list = missing.map((one) => `${one.name} (${one.for})`).join(', ');
      throw new SocryptError(
        RIGHTS_ERROR,
        `The NIC needs rights that this process has not: ${list}; run as root, or grant them (setcap, AmbientCapabilities= of systemd).`,
      );
    }
    this.options = options;
    this.#log = log;
    try {
      this.#nic = new native.Nic(options, () => this.#onChange());
    } catch (error) {
      throw new SocryptError(
        NIC_ERROR,
        `Expected to take over the interface ${options.wire}, with the host port ${options.hostPort}, but ${(error as Error).message}.`,
        { cause: error },
      );
    }
  }

  /** For an engine. */
  get native(): NativeNic {
    return this.#nic;
  }
  status(): NicStatus {
    return this.#nic.status();
  }
  counters(): Float64Array {
    return this.#nic.counters();
  }
  /** Makes the device die, as tests and drills do. */
  kill(reason: string): void {
    this.#nic.kill(reason);
  }

  /** After the last engine has ended: removes what was made. Idempotent. */
  detach(): void {
    this.#detached = true;
    clearTimeout(this.#retry);
    this.#nic.close();
  }

  #onChange(): void {
    if (this.#detached) return;
    const { alive, reason } = this.status();
    if (alive) {
      if (this.#dead) this.#log.info({ wire: this.options.wire }, 'the NIC is there again');
      this.#dead = false;
      return;
    }
    if (this.#dead) return;
    this.#dead = true;
    this.#pause = FIRST_RETRY_MS;
    this.#log.warn(
      { wire: this.options.wire, reason },
      'the NIC has died; nothing leaves by it until another is in its place',
    );
    this.#tryAgain();
  }

  #tryAgain(): void {
    this.#retry = setTimeout(() => {
      try {
        this.#nic.restart();
      } catch (error) {
        this.#log.warn({ reason: (error as Error).message }, 'the NIC could not be replaced yet');
        this.#pause = Math.min(2 * this.#pause, LAST_RETRY_MS);
        this.#tryAgain();
      }
    }, this.#pause);
    this.#retry.unref();
  }
}

/** The crypto framework of this thread: drivers come and go, sessions are opened, ops go where they are done soonest. */
import { SocryptError } from '../errors.ts';
import { type NativeOcf, native } from '../native.ts';
import { ALGORITHM_IDS, ALGORITHMS, type Algorithm, type KeyAlgorithm, statusError } from './crypto-names.ts';
import { Dispatcher } from './dispatcher.ts';
import { DriverHost } from './driver-host.ts';
import { type DriverInfo, driverInfo } from './driver-info.ts';
import type { JsDriver } from './js-driver.ts';
import {
  type AeadParams,
  type AgreeParams,
  type ArithmeticParams,
  type ChainParams,
  type CipherParams,
  chainOf,
  type DriverId,
  type EphemeralParams,
  type HashParams,
  type MacParams,
  type NullParams,
  placeOf,
  type SessionParams,
  type SignParams,
  tagLengthOf,
  type VerifyParams,
} from './params.ts';
import {
  AgreementSession,
  CipherSession,
  DiffieHellmanSession,
  EphemeralSession,
  HashSession,
  MacSession,
  ModExpCrtSession,
  ModExpSession,
  NullSession,
  SealingSession,
  type Session,
  type SessionHost,
  SigningSession,
  VerifyingSession,
} from './sessions.ts';

const PENDING = 1;
const POLL_MS = 1;
const DETACH_MS = 1_000;

const algorithmId = (name: Algorithm | KeyAlgorithm): number => ALGORITHM_IDS.get(name)!;

export class Ocf {
  readonly #native: NativeOcf;
  readonly #drivers: DriverHost;
  readonly #host: SessionHost;

  constructor(of: NativeOcf) {
    this.#native = of;
    const dispatcher = new Dispatcher(of);
    this.#drivers = new DriverHost(of);
    this.#host = { dispatcher, close: (session) => void of.close(session) };
    of.onTold((list, mailboxes) => {
      if (mailboxes) this.#drivers.pump();
      dispatcher.told(list);
    });
  }

  /** Throws, with the code that says which of the parameters is wrong, or ERR_SOCRYPT_OCF_NO_DRIVER. The key is copied. */
  open(params: AeadParams | ChainParams): SealingSession;
  open(params: CipherParams): CipherSession;
  open(params: MacParams): MacSession;
  open(params: HashParams): HashSession;
  open(params: NullParams): NullSession;
  open(params: SignParams): SigningSession;
  open(params: VerifyParams): VerifyingSession;
  open(params: AgreeParams): AgreementSession;
  open(params: EphemeralParams): EphemeralSession;
  open(params: ArithmeticParams & { readonly arithmetic: 'modexp' }): ModExpSession;
  open(params: ArithmeticParams & { readonly arithmetic: 'modexp-crt' }): ModExpCrtSession;
  open(params: ArithmeticParams & { readonly arithmetic: 'dh' }): DiffieHellmanSession;
  open(params: SessionParams): Session {
    const { place, driver } = placeOf(params);
    const number = this.#native.open(chainOf(params), place, driver, params.ordered ?? false);
    if (number < 0) throw statusError('open', number);
    const host = this.#host;
    if ('nothing' in params) return new NullSession(host, number, params.inPlace ?? false);
    if ('hash' in params) return new HashSession(host, number, ALGORITHMS[params.hash].tag);
    if ('sign' in params) return new SigningSession(host, number);
    if ('verify' in params) return new VerifyingSession(host, number);
    if ('agree' in params) {
      return params.privateKey === undefined
        ? new EphemeralSession(host, number)
        : new AgreementSession(host, number);
    }
    if ('arithmetic' in params) {
      if (params.arithmetic === 'modexp') return new ModExpSession(host, number);
      if (params.arithmetic === 'modexp-crt') return new ModExpCrtSession(host, number);
      return new DiffieHellmanSession(host, number);
    }
    const inPlace = params.inPlace ?? false;
    if ('aead' in params) return new SealingSession(host, number, tagLengthOf(params), inPlace);
    if (params.cipher === undefined) return new MacSession(host, number, tagLengthOf(params));
    if (params.mac === undefined) return new CipherSession(host, number, inPlace);
    return new SealingSession(host, number, tagLengthOf(params), inPlace);
  }

  /**
   * A driver by name ('thread', 'key', …; `socrypt ocf list --help` names them), or one written in TypeScript. It is attached
   * once it has given the known answers of everything that it offers.
   */
  async attach<S>(driver: string | JsDriver<S>): Promise<DriverId> {
    if (typeof driver !== 'string') return this.#drivers.attach(driver);
    const id = this.#native.attach(driver);
    if (typeof id === 'number' && id > 0) return id as DriverId;
    throw new SocryptError(
      'ERR_SOCRYPT_OCF_DRIVER',
      `attach: ${typeof id === 'string' ? id : statusError(driver, id).message}`,
    );
  }

  /** Takes one algorithm back; its sessions move with their next op. */
  withdraw(driver: DriverId, algorithm: Algorithm | KeyAlgorithm): void {
    const status = this.#native.withdraw(driver, algorithmId(algorithm));
    if (status !== 0) throw statusError('withdraw', status);
  }

  /** Takes a driver back. What it has begun may end within the deadline; everything else goes elsewhere at once. */
  async detach(driver: DriverId, { deadlineMs = DETACH_MS } = {}): Promise<void> {
    const status = this.#native.detach(driver, deadlineMs);
    if (status < 0) throw statusError('detach', status);
    this.#drivers.pump();
    if (status !== PENDING) return;
    while (this.#native.drivers().some(({ id }) => id === driver)) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      this.#native.poll();
    }
    this.#drivers.pump();
  }

  /** Known answers once more. Throws ERR_SOCRYPT_OCF_INVALID: the driver is quarantined; ERR_SOCRYPT_OCF_FULL: it has other work. */
  check(driver: DriverId): void {
    const status = this.#native.check(driver);
    if (status !== 0) throw statusError('check', status);
  }

  /**
   * Random bytes of all drivers that have a source, mixed: as good as the best of them. Throws ERR_SOCRYPT_OCF_NO_DRIVER, or
   * ERR_SOCRYPT_OCF_FULL when none has so many now. At most 64 KiB.
   */
  random(bytes: number): Uint8Array {
    const result = this.#native.random(bytes);
    if (typeof result === 'number') throw statusError('random', result);
    return result;
  }

  /** Bytes from which the one is predicted to beat the other in bursts of this size; null: never. */
  crossover(accelerator: DriverId, software: DriverId, algorithm: Algorithm, burst = 1): number | null {
    const bytes = this.#native.crossover(accelerator, software, algorithmId(algorithm), burst);
    return bytes < 0 ? null : bytes;
  }

  /** Whether this thread has used it; it attaches its first drivers then. */
  get started(): boolean {
    return this.#native.started();
  }

  drivers(): DriverInfo[] {
    return this.#native.drivers().map(driverInfo);
  }
}

/** Of this thread. */
export const ocf = new Ocf(native.ocf);

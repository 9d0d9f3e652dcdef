/**
 * /dev/crypto: a handle whose sessions nobody else sees, and which end with it. `crypt` and `key` wait, `submit` does not. See
 * docs/ocf.md.
 */
import { SocryptError } from '../errors.ts';
import { type NativeCryptoDevice, native } from '../native.ts';
import {
  ALGORITHMS,
  KEY_ALGORITHMS,
  KEY_KINDS,
  type KeyRequest,
  KINDS,
  type OpKind,
  PLACES,
  type SessionParams,
  statusError,
} from './crypto-names.ts';

export interface CryptoDeviceOptions {
  /** Default: ['soft']. */
  readonly drivers?: readonly string[];
  /** Default: false: what only this machine's processors could do is refused (EINVAL, ERR_SOCRYPT_OCF_INVALID). */
  readonly allowSoftware?: boolean;
  readonly maxSessions?: number;
  readonly maxPending?: number;
}

/** struct crypt_op. */
export interface CryptOp {
  readonly session: number;
  readonly kind: OpKind;
  readonly iv?: Uint8Array;
  readonly source: Uint8Array;
  /** Default: `source`, in place. */
  readonly destination?: Uint8Array;
  readonly aad?: Uint8Array;
  /** Written by seal and mac, read by open. */
  readonly tag?: Uint8Array;
}

interface Waiting {
  resolve(): void;
  reject(error: Error): void;
}

const NOTHING = new Uint8Array(0);
/** Looks for completions every turn of the event loop at first, then once a millisecond. */
const EAGER_TURNS = 50;

export class CryptoDevice {
  readonly #native: NativeCryptoDevice;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #turns = 0;
  #looking = false;
  #closed = false;

  constructor(options: CryptoDeviceOptions = {}) {
    this.#native = new native.CryptoDevice(
      options.drivers ?? ['soft'],
      options.allowSoftware ?? false,
      options.maxSessions ?? 1024,
      options.maxPending ?? 256,
    );
  }

  /** CIOCGSESSION. */
  openSession(params: SessionParams): number {
    const chain = params.chain.map(({ name, key, tagLength }) => {
      const { id, iv, tag } = ALGORITHMS[name];
      return { id, ivLength: iv, tagLength: tagLength ?? tag, key };
    });
    const session = this.#native.openSession(PLACES[params.place ?? 'any'], chain);
    if (session < 0) throw statusError('openSession', session);
    return session;
  }

  /** CIOCFSESSION. */
  closeSession(session: number): void {
    check('closeSession', this.#native.closeSession(session));
  }

  /** CIOCCRYPT. */
  crypt(op: CryptOp): void {
    check(
      'crypt',
      this.#native.crypt(
        op.session,
        KINDS[op.kind],
        op.iv ?? NOTHING,
        op.source,
        op.destination ?? op.source,
        op.aad ?? NOTHING,
        op.tag ?? NOTHING,
      ),
    );
  }

  /** The same without waiting; the buffers are the device's until then. Several may be pending. */
  submit(op: CryptOp): Promise<void> {
    return new Promise((resolve, reject) => {
      const cookie = ++this.#last;
      const taken = this.#native.submit(
        op.session,
        KINDS[op.kind],
        op.iv ?? NOTHING,
        op.source,
        op.destination ?? op.source,
        op.aad ?? NOTHING,
        op.tag ?? NOTHING,
        cookie,
      );
      if (taken < 0) return reject(statusError('submit', taken));
      if (taken === 0) {
        return reject(
          new SocryptError('ERR_SOCRYPT_OCF_FULL', 'submit: no room; let something finish first'),
        );
      }
      this.#waiting.set(cookie, { resolve, reject });
      this.#turns = 0;
      this.#look();
    });
  }

  /** CIOCKEY: atomic, without a session. */
  key(request: KeyRequest): Uint8Array {
    const out = new Uint8Array(request.outputLength);
    const written = this.#native.key(
      KEY_KINDS[request.kind],
      KEY_ALGORITHMS[request.algorithm],
      request.scheme ?? 0,
      request.key ?? NOTHING,
      request.inputs,
      out,
    );
    if (written < 0) throw statusError('key', written);
    return out.subarray(0, written);
  }

  /** The id of a driver; null: there is none of this name. */
  find(driver: string): number | null {
    return this.#native.find(driver);
  }

  /** Waits for what drivers still have; ends every session. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#native.close();
    const error = new SocryptError('ERR_SOCRYPT_OCF_CLOSED', 'submit: the device was closed meanwhile');
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #look(): void {
    if (this.#looking || this.#waiting.size === 0) return;
    this.#looking = true;
    const again = () => {
      this.#looking = false;
      this.#fetch();
      this.#look();
    };
    if (this.#turns++ < EAGER_TURNS) setImmediate(again);
    else setTimeout(again, 1);
  }

  #fetch(): void {
    if (this.#closed) return;
    const done = this.#native.fetch();
    for (let i = 0; i < done.length; i += 2) {
      const waiting = this.#waiting.get(done[i]!);
      this.#waiting.delete(done[i]!);
      const status = done[i + 1]!;
      if (status === 0) waiting?.resolve();
      else waiting?.reject(statusError('submit', status));
    }
  }
}

function check(what: string, status: number): void {
  if (status !== 0) throw statusError(what, status);
}

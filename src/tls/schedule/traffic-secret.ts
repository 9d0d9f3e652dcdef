/**
 * Traffic secrets (RFC 8446 7.1-7.3). A handshake secret can make a Finished, an application secret can be
 * updated; the types keep the one from being used as the other.
 */
import type { CryptoProvider } from '../crypto-provider.ts';
import { IV_LENGTH, type Suite } from '../suites.ts';
import type { HandshakeParts } from './stages.ts';

export const EMPTY = new Uint8Array(0);

export interface RecordKeys {
  readonly suite: Suite;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}

export function wipeKeys({ key, iv }: RecordKeys): void {
  key.fill(0);
  iv.fill(0);
}

abstract class BaseTrafficSecret {
  readonly suite: Suite;
  // Private names, which neither inspect nor JSON shows.
  readonly #provider: CryptoProvider;
  readonly #secret: Uint8Array;
  /** Made together with the secret, and not asked for yet. */
  #made: RecordKeys | undefined;

  /** Takes the secret over, and its keys where there are some; `wipe` zeroises them. */
  constructor(
    provider: CryptoProvider,
    suite: Suite,
    secret: Uint8Array,
    made?: { readonly key: Uint8Array; readonly iv: Uint8Array },
  ) {
    this.#provider = provider;
    this.suite = suite;
    this.#secret = secret;
    this.#made = made && { suite, key: made.key, iv: made.iv };
  }

  /** The caller's to wipe. */
  keys(): RecordKeys {
    const { suite } = this;
    const made = this.#made;
    this.#made = undefined;
    if (made !== undefined) return made;
    return {
      suite,
      key: this.expand('key', suite.keyLength),
      iv: this.expand('iv', IV_LENGTH),
    };
  }

  wipe(): void {
    this.#secret.fill(0);
    this.#made?.key.fill(0);
    this.#made?.iv.fill(0);
    this.#made = undefined;
  }

  protected get provider(): CryptoProvider {
    return this.#provider;
  }

  protected expand(label: string, length: number): Uint8Array {
    return this.#provider.hkdfExpandLabel(this.suite.hash, this.#secret, label, EMPTY, length);
  }

  protected copyTo(into: Uint8Array, offset: number): void {
    into.set(this.#secret, offset);
  }
}

/** Only a Finished that verified makes one; reading under application keys asks for it. */
declare const finishedVerified: unique symbol;
export type FinishedVerified = { readonly [finishedVerified]: true };
export const FINISHED_VERIFIED = Object.freeze({}) as FinishedVerified;

export class HandshakeTrafficSecret extends BaseTrafficSecret {
  #finishedKey: Uint8Array | undefined;

  constructor(provider: CryptoProvider, suite: Suite, secret: Uint8Array, made?: HandshakeParts) {
    super(provider, suite, secret, made);
    this.#finishedKey = made?.finishedKey;
  }

  /** verify_data of a Finished sent under this secret (RFC 8446 4.4.4). */
  finished(transcriptHash: Uint8Array): Uint8Array {
    this.#finishedKey ??= this.expand('finished', this.suite.hashLength);
    return this.provider.hmac(this.suite.hash, this.#finishedKey, transcriptHash);
  }

  override wipe(): void {
    super.wipe();
    this.#finishedKey?.fill(0);
    this.#finishedKey = undefined;
  }

  /** undefined: it does not match. */
  verifyFinished(transcriptHash: Uint8Array, received: Uint8Array): FinishedVerified | undefined {
    return this.provider.equal(this.finished(transcriptHash), received) ? FINISHED_VERIFIED : undefined;
  }
}

export class ApplicationTrafficSecret extends BaseTrafficSecret {
  /** application_traffic_secret_N+1 (RFC 8446 7.2). This one is left to the caller to wipe. */
  next(): ApplicationTrafficSecret {
    const next = this.expand('traffic upd', this.suite.hashLength);
    return new ApplicationTrafficSecret(this.provider, this.suite, next);
  }

  /** Copies the secret to where the connection keeps it for later updates. */
  store(into: Uint8Array, offset: number): void {
    this.copyTo(into, offset);
  }
}

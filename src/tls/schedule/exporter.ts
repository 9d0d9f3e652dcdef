/** Keying material for other protocols, bound to this connection (RFC 8446 7.5). */
import type { Exporter } from '../api.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import type { Suite } from '../suites.ts';
import { EMPTY } from './traffic-secret.ts';

/** "tls13 " and the label share a vector of at most 255 bytes. */
const MAX_LABEL = 249;

/** `tls13 ` */
const TLS13_PREFIX = [0x74, 0x6c, 0x73, 0x31, 0x33, 0x20];

/** What both versions ask of a call. */
export function checkExport(wiped: boolean, label: string, length: number, maxLength: number): void {
  if (wiped) throw new Error('expected an exporter in use, but it has been wiped; export before that');
  if (label.length > MAX_LABEL || !/^[\x20-\x7e]*$/.test(label)) {
    throw new RangeError(
      `expected a label of at most ${MAX_LABEL} ASCII characters, received ${label.length}`,
    );
  }
  if (!Number.isInteger(length) || length < 1 || length > maxLength) {
    throw new RangeError(`expected a length of 1 to ${maxLength} bytes, received ${length}`);
  }
}

export class Tls13Exporter implements Exporter {
  readonly #provider: CryptoProvider;
  readonly #suite: Suite;
  readonly #secret: Uint8Array;
  #wiped = false;

  /**
   * Takes exporter_master_secret over. RFC 8446 7.5: "Implementations MUST use the exporter_master_secret unless
   * explicitly specified by the application."
   */
  constructor(provider: CryptoProvider, suite: Suite, secret: Uint8Array) {
    this.#provider = provider;
    this.#suite = suite;
    this.#secret = secret;
  }

  /** RFC 8446 7.5: no context and an empty one give the same value. */
  export(label: string, context: Uint8Array | undefined, length: number): Uint8Array {
    const { hash, hashLength } = this.#suite;
    checkExport(this.#wiped, label, length, 255 * hashLength);
    const provider = this.#provider;
    const derived =
      label === ''
        ? this.#deriveUnnamed()
        : provider.hkdfExpandLabel(hash, this.#secret, label, provider.hash(hash, EMPTY), hashLength);
    const material = provider.hkdfExpandLabel(
      hash,
      derived,
      'exporter',
      provider.hash(hash, context ?? EMPTY),
      length,
    );
    derived.fill(0);
    return material;
  }

  /**
   * HKDF-Expand-Label with the empty label, which the vector of RFC 8446 7.1 is too short for by one byte, and libcrypto
   * with it; other stacks take it. One block of HKDF-Expand (RFC 5869 2.3).
   */
  #deriveUnnamed(): Uint8Array {
    const { hash, hashLength } = this.#suite;
    const context = this.#provider.hash(hash, EMPTY);
    const prefix = [0, hashLength, 6, ...TLS13_PREFIX, context.length];
    return this.#provider.hmac(hash, this.#secret, Uint8Array.of(...prefix, ...context, 1));
  }

  wipe(): void {
    this.#wiped = true;
    this.#secret.fill(0);
  }
}

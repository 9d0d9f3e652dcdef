/** The key schedule of TLS 1.2: RFC 5246 8.1, 6.3 and 7.4.9, RFC 7627 4, RFC 5705 4. */
import { SocryptError } from '../../errors.ts';
import type { Exporter, KeyLog } from '../api.ts';
import { joinBytes } from '../bytes.ts';
import { VERIFY_DATA_12 } from '../codepoints.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import type { Suite } from '../suites.ts';
import { checkExport } from './exporter.ts';
import { FINISHED_VERIFIED, type FinishedVerified, type RecordKeys } from './traffic-secret.ts';

export const MASTER_SECRET = 48;

/** The two hello randoms, which every derivation from a master secret mixes in. */
export interface Randoms {
  readonly client: Uint8Array;
  readonly server: Uint8Array;
}

export class MasterSecret {
  readonly #provider: CryptoProvider;
  readonly #suite: Suite;
  readonly #secret: Uint8Array;

  /** Takes the secret over; `wipe` zeroises it. */
  constructor(provider: CryptoProvider, suite: Suite, secret: Uint8Array) {
    this.#provider = provider;
    this.#suite = suite;
    this.#secret = secret;
  }

  /**
   * RFC 7627 4: bound to the handshake by `sessionHash`, which covers the messages up to and including the
   * ClientKeyExchange. Wipes `premaster`.
   */
  static extended(provider: CryptoProvider, suite: Suite, premaster: Uint8Array, sessionHash: Uint8Array) {
    return MasterSecret.#derive(provider, suite, premaster, 'extended master secret', sessionHash);
  }

  /** RFC 5246 8.1, for a peer that does not know the extended one. Wipes `premaster`. */
  static plain(provider: CryptoProvider, suite: Suite, premaster: Uint8Array, randoms: Randoms) {
    const seed = joinBytes([randoms.client, randoms.server]);
    return MasterSecret.#derive(provider, suite, premaster, 'master secret', seed);
  }

  static #derive(
    provider: CryptoProvider,
    suite: Suite,
    premaster: Uint8Array,
    label: string,
    seed: Uint8Array,
  ): MasterSecret {
    const secret = provider.prf12(suite.hash, premaster, label, seed, MASTER_SECRET);
    premaster.fill(0);
    return new MasterSecret(provider, suite, secret);
  }

  /** RFC 5246 6.3: client and server key, then client and server IV; AEAD suites have no MAC keys. */
  keys(
    randoms: Randoms,
    keyLog: KeyLog | undefined,
  ): { readonly client: RecordKeys; readonly server: RecordKeys } {
    keyLog?.('CLIENT_RANDOM', randoms.client, this.#secret);
    const suite = this.#suite;
    const { keyLength, ivLength } = suite;
    const block = this.#prf(
      'key expansion',
      joinBytes([randoms.server, randoms.client]),
      2 * (keyLength + ivLength),
    );
    let at = 0;
    // Of memory of their own, since each is wiped in its own time.
    const take = (length: number) => {
      at += length;
      return new Uint8Array(block.subarray(at - length, at));
    };
    const [clientKey, serverKey] = [take(keyLength), take(keyLength)];
    const [clientIv, serverIv] = [take(ivLength), take(ivLength)];
    block.fill(0);
    return {
      client: { suite, key: clientKey, iv: clientIv },
      server: { suite, key: serverKey, iv: serverIv },
    };
  }

  /**
   * verify_data of that side's Finished (RFC 5246 7.4.9). RFC 5246 7.4.9: "the Hash MUST be the Hash used as the
   * basis for the PRF": both are the suite's.
   */
  finished(side: 'client' | 'server', transcriptHash: Uint8Array): Uint8Array {
    return this.#prf(`${side} finished`, transcriptHash, VERIFY_DATA_12);
  }

  /** undefined: it does not match. */
  verifyFinished(
    side: 'client' | 'server',
    transcriptHash: Uint8Array,
    received: Uint8Array,
  ): FinishedVerified | undefined {
    const expected = this.finished(side, transcriptHash);
    return this.#provider.equal(expected, received) ? FINISHED_VERIFIED : undefined;
  }

  /**
   * Lives on after this secret is wiped. `extended`: whether the secret is bound to its handshake. If not, RFC 7627 5.4: "the
   * client or server MUST NOT export any key material based on the new master secret".
   */
  exporter(randoms: Randoms, extended: boolean): Exporter {
    if (!extended) return UNBOUND;
    return new Tls12Exporter(new MasterSecret(this.#provider, this.#suite, this.copy()), randoms);
  }

  /** For exporters (RFC 5705 4): any label, the randoms, and the context where there is one. */
  expand(label: string, randoms: Randoms, context: Uint8Array | undefined, length: number): Uint8Array {
    const parts = [randoms.client, randoms.server];
    if (context !== undefined) parts.push(Uint8Array.of(context.length >> 8, context.length & 0xff), context);
    return this.#prf(label, joinBytes(parts), length);
  }

  /** A copy, for a session that is kept; the keeper wipes it. */
  copy(): Uint8Array {
    return new Uint8Array(this.#secret);
  }

  wipe(): void {
    this.#secret.fill(0);
  }

  #prf(label: string, seed: Uint8Array, length: number): Uint8Array {
    return this.#provider.prf12(this.#suite.hash, this.#secret, label, seed, length);
  }
}

/** RFC 5705: unlike in TLS 1.3, no context and an empty one give different values. */
class Tls12Exporter implements Exporter {
  readonly #master: MasterSecret;
  readonly #randoms: Randoms;
  #wiped = false;

  constructor(master: MasterSecret, randoms: Randoms) {
    this.#master = master;
    this.#randoms = randoms;
  }

  export(label: string, context: Uint8Array | undefined, length: number): Uint8Array {
    checkExport(this.#wiped, label, length, MAX_EXPORT);
    if (context !== undefined && context.length > 0xffff) {
      throw new RangeError(`expected a context of at most 65535 bytes, received ${context.length}`);
    }
    return this.#master.expand(label, this.#randoms, context, length);
  }

  wipe(): void {
    this.#wiped = true;
    this.#master.wipe();
  }
}

/** Of a connection whose master secret a man in the middle may share. */
const UNBOUND: Exporter = {
  export() {
    throw new SocryptError(
      'ERR_SOCRYPT_TLS_EXPORT_UNBOUND',
      'expected the extended master secret (RFC 7627), which the peer did not agree to; without it a TLS 1.2 connection exports nothing: use TLS 1.3, or a peer that has it',
    );
  },
  wipe() {},
};

/** As with the shorter hash in TLS 1.3. */
const MAX_EXPORT = 255 * 32;

/** How records are protected under one key: TLS 1.3's way (RFC 8446 5.2) and TLS 1.2's (RFC 5246 6.2.3.3). */
import { TlsError } from '../alerts.ts';
import { ContentType, MAX_PLAINTEXT } from '../codepoints.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import type { RecordKeys } from '../schedule/traffic-secret.ts';
import { IV_LENGTH, TAG_LENGTH } from '../suites.ts';
import { recordHeader } from './record-header.ts';

/** The content of a record that verified. */
export interface Opened {
  readonly type: number;
  readonly content: Uint8Array;
}

/** One direction's keys and record sequence number. A handshake is far from 2^32 records; more are refused. */
export abstract class Protection {
  readonly keys: RecordKeys;
  protected readonly provider: CryptoProvider;
  readonly #nonce = new Uint8Array(IV_LENGTH);
  #recordSeq: number;

  /** `recordSeq`: number of the first record under these keys. */
  constructor(provider: CryptoProvider, keys: RecordKeys, recordSeq: number) {
    this.#recordSeq = recordSeq;
    this.provider = provider;
    this.keys = keys;
  }

  /** Number of the next record. */
  get recordSeq(): number {
    return this.#recordSeq;
  }

  /** One record with a fragment of at most 2^14 bytes; `parts` takes it. */
  abstract seal(type: number, fragment: Uint8Array, parts: Uint8Array[]): void;

  /**
   * null: it does not verify. The sequence number moves on only when it does, so that skipped early data
   * leaves it alone.
   */
  abstract open(header: Uint8Array, sealed: Uint8Array): Opened | null;

  wipe(): void {
    this.keys.key.fill(0);
    this.keys.iv.fill(0);
    this.#nonce.fill(0);
  }

  protected advance(): void {
    this.#recordSeq++;
  }

  /** RFC 8446 5.3: the iv, XORed with the sequence number in network order. Valid until the next call. */
  protected nonce(): Uint8Array {
    const nonce = this.#nonce;
    const seq = this.#recordSeq;
    if (seq === 0xffffffff) throw new TlsError('record_sequence_exhausted');
    nonce.set(this.keys.iv);
    nonce[8]! ^= seq >>> 24;
    nonce[9]! ^= seq >>> 16;
    nonce[10]! ^= seq >>> 8;
    nonce[11]! ^= seq;
    return nonce;
  }
}

export class Tls13Protection extends Protection {
  override seal(type: number, fragment: Uint8Array, parts: Uint8Array[]): void {
    const inner = new Uint8Array(fragment.length + 1);
    inner.set(fragment);
    inner[fragment.length] = type;
    const header = recordHeader(ContentType.applicationData, inner.length + TAG_LENGTH);
    const { suite, key } = this.keys;
    const nonce = this.nonce();
    this.advance();
    parts.push(header, this.provider.aeadSeal(suite.id, key, nonce, header, inner));
  }

  override open(header: Uint8Array, sealed: Uint8Array): Opened | null {
    if (sealed.length < TAG_LENGTH) return null;
    const { suite, key } = this.keys;
    const inner = this.provider.aeadOpen(suite.id, key, this.nonce(), header, sealed);
    if (inner === null) return null;
    this.advance();
    if (inner.length > MAX_PLAINTEXT + 1) throw new TlsError('plaintext_too_long');
    let end = inner.length;
    while (end > 0 && inner[end - 1] === 0) end--;
    // RFC 8446 5.4: no non-zero octet: "unexpected_message".
    if (end === 0) throw new TlsError('record_without_content_type');
    return { type: inner[end - 1]!, content: inner.subarray(0, end - 1) };
  }
}

export function protectionFor(provider: CryptoProvider, keys: RecordKeys, recordSeq = 0): Protection {
  return new Tls13Protection(provider, keys, recordSeq);
}

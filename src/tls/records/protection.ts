/** How records are protected under one key: TLS 1.3's way (RFC 8446 5.2) and TLS 1.2's (RFC 5246 6.2.3.3). */
import { TlsError } from '../alerts.ts';
import { copyBytes } from '../bytes.ts';
import { ContentType, MAX_CIPHERTEXT, MAX_CIPHERTEXT_12, MAX_PLAINTEXT, TLS12 } from '../codepoints.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import { type RecordKeys, wipeKeys } from '../schedule/traffic-secret.ts';
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

  /** Records of every type are protected and say which they are; else all of them say application_data. */
  abstract readonly showsType: boolean;

  /** Bytes of a protected record at most, header apart. */
  abstract readonly maxCiphertext: number;

  /**
   * null: it does not verify. The sequence number moves on only when it does, so that skipped early data
   * leaves it alone.
   */
  abstract open(header: Uint8Array, sealed: Uint8Array): Opened | null;

  wipe(): void {
    wipeKeys(this.keys);
    this.#nonce.fill(0);
  }

  protected advance(): void {
    this.#recordSeq++;
  }

  /**
   * RFC 8446 5.3: the iv, XORed with the sequence number in network order; one that is shorter, as in TLS 1.2,
   * is followed by the sequence number. Valid until the next call.
   */
  protected nonce(): Uint8Array {
    const nonce = this.#nonce;
    const seq = this.#recordSeq;
    // RFC 8446 5.3: "If a TLS implementation would need to wrap a sequence number, it MUST either rekey (Section
    // 4.6.3) or terminate".
    if (seq === 0xffffffff) throw new TlsError('record_sequence_exhausted');
    nonce.fill(0);
    nonce.set(this.keys.iv);
    nonce[8]! ^= seq >>> 24;
    nonce[9]! ^= seq >>> 16;
    nonce[10]! ^= seq >>> 8;
    nonce[11]! ^= seq;
    return nonce;
  }
}

export class Tls13Protection extends Protection {
  readonly showsType = false;
  readonly maxCiphertext = MAX_CIPHERTEXT;

  override seal(type: number, fragment: Uint8Array, parts: Uint8Array[]): void {
    const inner = new Uint8Array(fragment.length + 1);
    inner.set(fragment);
    inner[fragment.length] = type;
    const header = recordHeader(ContentType.applicationData, inner.length + TAG_LENGTH);
    const { suite, key } = this.keys;
    const nonce = this.nonce();
    this.advance();
    parts.push(header, this.provider.aeadSeal(suite.aead, key, nonce, header, inner));
  }

  override open(header: Uint8Array, sealed: Uint8Array): Opened | null {
    if (sealed.length < TAG_LENGTH) return null;
    const { suite, key } = this.keys;
    const inner = this.provider.aeadOpen(suite.aead, key, this.nonce(), header, sealed);
    if (inner === null) return null;
    this.advance();
    // RFC 8446 5.4: "the full encoded TLSInnerPlaintext MUST NOT exceed 2^14 + 1 octets".
    // RFC 8449 4: it is the limit that we advertise: "MUST generate a fatal "record_overflow" alert".
    if (inner.length > MAX_PLAINTEXT + 1) throw new TlsError('plaintext_too_long');
    let end = inner.length;
    // RFC 8446 5.4: "Implementations MUST limit their scanning to the cleartext returned from the AEAD decryption."
    while (end > 0 && inner[end - 1] === 0) end--;
    // RFC 8446 5.4: "does not find a non-zero octet in the cleartext, it MUST terminate the connection".
    if (end === 0) throw new TlsError('record_without_content_type');
    return { type: inner[end - 1]!, content: inner.subarray(0, end - 1) };
  }
}

/** RFC 5246 6.2.3.3: seq_num, type, version and length of the plaintext. */
const ADDITIONAL_DATA = 13;

export class Tls12Protection extends Protection {
  readonly showsType = true;
  readonly maxCiphertext = MAX_CIPHERTEXT_12;
  readonly #additionalData = new Uint8Array(ADDITIONAL_DATA);

  /**
   * RFC 5288 3: "Each value of the nonce_explicit MUST be distinct for each distinct invocation". It is the
   * sequence number, which is counted here and nowhere else.
   */
  override seal(type: number, fragment: Uint8Array, parts: Uint8Array[]): void {
    const { suite, key } = this.keys;
    const nonce = this.nonce();
    const additionalData = this.#describe(type, fragment.length);
    this.advance();
    const sealed = this.provider.aeadSeal(suite.aead, key, nonce, additionalData, fragment);
    parts.push(recordHeader(type, suite.explicitNonceLength + sealed.length));
    if (suite.explicitNonceLength > 0) parts.push(copyBytes(nonce.subarray(suite.ivLength)));
    parts.push(sealed);
  }

  override open(header: Uint8Array, sealed: Uint8Array): Opened | null {
    const { suite, key } = this.keys;
    const before = suite.explicitNonceLength;
    const length = sealed.length - before - TAG_LENGTH;
    // Too short to hold a tag: it cannot verify. Below zero nothing may be computed with it.
    if (length < 0) return null;
    const nonce = this.nonce();
    // The peer's explicit nonce is the peer's to choose (RFC 5288 3).
    if (before > 0) nonce.set(sealed.subarray(0, before), IV_LENGTH - before);
    const type = header[0]!;
    const additionalData = this.#describe(type, length);
    const content = this.provider.aeadOpen(suite.aead, key, nonce, additionalData, sealed.subarray(before));
    // RFC 5246 6.1: "These current states MUST be updated for each record processed."
    if (content === null) return null;
    this.advance();
    if (length > MAX_PLAINTEXT) throw new TlsError('plaintext_too_long');
    return { type, content };
  }

  #describe(type: number, length: number): Uint8Array {
    const data = this.#additionalData;
    const view = new DataView(data.buffer);
    // The upper half stays zero: a Protection's counter ends before.
    view.setUint32(4, this.recordSeq);
    data[8] = type;
    view.setUint16(9, TLS12);
    view.setUint16(11, length);
    return data;
  }
}

// RFC 8446 5.3: "the first record transmitted under a particular traffic key MUST use sequence number 0".
// RFC 5246 6.1: "the first record transmitted under a particular connection state MUST use sequence number 0", "MUST
// be set to zero whenever a connection state is made the active state".
export function protectionFor(provider: CryptoProvider, keys: RecordKeys, recordSeq = 0): Protection {
  return keys.suite.version === TLS12
    ? new Tls12Protection(provider, keys, recordSeq)
    : new Tls13Protection(provider, keys, recordSeq);
}

/**
 * The record layer of the handshake (RFC 8446 section 5). It ends with the handshake: the data plane has
 * its own.
 */
import { type Reason, TlsError } from './alerts.ts';
import { ByteQueue } from './byte-queue.ts';
import { copyBytes } from './bytes.ts';
import { ContentType, MAX_CIPHERTEXT, MAX_PLAINTEXT, RECORD_HEADER, TLS12 } from './codepoints.ts';
import type { CryptoProvider } from './crypto-provider.ts';
import type { Aligned } from './handshake-joiner.ts';
import type { RecordKeys } from './schedule/traffic-secret.ts';
import { IV_LENGTH, TAG_LENGTH } from './suites.ts';

export interface Record {
  readonly type: number;
  /** Aliases the input when the record was not protected. */
  readonly content: Uint8Array;
  readonly isProtected: boolean;
}

/** One direction's keys and record sequence number. A handshake is far from 2^32 records; more are refused. */
class Protection {
  readonly keys: RecordKeys;
  readonly #provider: CryptoProvider;
  readonly #nonce = new Uint8Array(IV_LENGTH);
  #recordSeq = 0;

  constructor(provider: CryptoProvider, keys: RecordKeys) {
    this.#provider = provider;
    this.keys = keys;
  }

  get recordSeq(): number {
    return this.#recordSeq;
  }

  seal(header: Uint8Array, inner: Uint8Array): Uint8Array {
    const { suite, key } = this.keys;
    const nonce = this.#nonceNow();
    this.#recordSeq++;
    return this.#provider.aeadSeal(suite.id, key, nonce, header, inner);
  }

  /** The sequence number moves on only when the record verifies, so that skipped early data leaves it alone. */
  open(header: Uint8Array, sealed: Uint8Array): Uint8Array | null {
    const { suite, key } = this.keys;
    const inner = this.#provider.aeadOpen(suite.id, key, this.#nonceNow(), header, sealed);
    if (inner !== null) this.#recordSeq++;
    return inner;
  }

  wipe(): void {
    this.keys.key.fill(0);
    this.keys.iv.fill(0);
    this.#nonce.fill(0);
  }

  /** RFC 8446 5.3: the iv, XORed with the sequence number in network order. */
  #nonceNow(): Uint8Array {
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

export class RecordReader {
  readonly #provider: CryptoProvider;
  readonly #queue = new ByteQueue();
  #protection: Protection | undefined;
  /** Early data that may still be skipped, in bytes; undefined: none is. */
  #earlyDataLeft: number | undefined;
  #bytesRead = 0;
  #earlyDataRead = 0;

  constructor(provider: CryptoProvider) {
    this.#provider = provider;
  }

  /** Bytes that wait. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Bytes of whole records taken so far, skipped early data apart. */
  get bytesRead(): number {
    return this.#bytesRead - this.#earlyDataRead;
  }

  get isProtected(): boolean {
    return this.#protection !== undefined;
  }

  push(bytes: Uint8Array): void {
    this.#queue.push(bytes);
  }

  settle(): void {
    this.#queue.settle();
  }

  /** What came after the last record, copied. */
  takeRest(): Uint8Array {
    return copyBytes(this.#queue.take(this.#queue.length));
  }

  /** Records are opened with these keys from here on. */
  install(keys: RecordKeys, _aligned: Aligned): void {
    this.#protection?.wipe();
    this.#protection = new Protection(this.#provider, keys);
  }

  /** Early data was offered and is not taken: skip up to `budget` bytes of it (RFC 8446 4.2.10). */
  skipEarlyData(budget: number): void {
    this.#earlyDataLeft = budget;
  }

  /** The client has shown that its early data is over: what does not decrypt is an error again. */
  endEarlyData(): void {
    this.#earlyDataLeft = undefined;
  }

  next(): Record | undefined {
    for (;;) {
      const queue = this.#queue;
      if (queue.length === 0) return undefined;
      this.#checkHeader();
      if (queue.length < RECORD_HEADER) return undefined;
      const length = (queue.at(3) << 8) | queue.at(4);
      const type = queue.at(0);
      const sealed = type === ContentType.applicationData;
      if (length > (sealed ? MAX_CIPHERTEXT : MAX_PLAINTEXT)) throw new TlsError('record_too_long');
      if (queue.length < RECORD_HEADER + length) return undefined;
      this.#bytesRead += RECORD_HEADER + length;
      const header = queue.take(RECORD_HEADER);
      const body = queue.take(length);
      if (!sealed) return { type, content: body, isProtected: false };
      const record = this.#open(header, body);
      if (record !== undefined) return record;
    }
  }

  wipe(): void {
    this.#protection?.wipe();
    this.#queue.clear();
  }

  /** As early as the bytes allow: a peer that does not speak TLS may wait for an answer after a few of them. */
  #checkHeader(): void {
    const queue = this.#queue;
    const type = queue.at(0);
    if (type < ContentType.changeCipherSpec || type > ContentType.applicationData) {
      throw new TlsError(this.#bytesRead === 0 ? 'not_tls' : 'unknown_content_type');
    }
    // RFC 8446 5.1: legacy_record_version "MUST be ignored for all purposes". A major version other than 3
    // is not a version of TLS, though.
    if (queue.length > 1 && queue.at(1) !== 3) throw new TlsError('wrong_record_version');
  }

  /** undefined: skipped. */
  #open(header: Uint8Array, sealed: Uint8Array): Record | undefined {
    const protection = this.#protection;
    if (protection === undefined) {
      this.#skip(sealed.length, 'application_data_in_handshake');
      return undefined;
    }
    const inner = sealed.length < TAG_LENGTH ? null : protection.open(header, sealed);
    if (inner === null) {
      this.#skip(sealed.length, 'record_did_not_decrypt');
      return undefined;
    }
    this.#earlyDataLeft = undefined;
    if (inner.length > MAX_PLAINTEXT + 1) throw new TlsError('plaintext_too_long');
    let end = inner.length;
    while (end > 0 && inner[end - 1] === 0) end--;
    // RFC 8446 5.4: no non-zero octet: "unexpected_message".
    if (end === 0) throw new TlsError('record_without_content_type');
    return { type: inner[end - 1]!, content: inner.subarray(0, end - 1), isProtected: true };
  }

  #skip(length: number, otherwise: Reason): void {
    if (this.#earlyDataLeft === undefined) throw new TlsError(otherwise);
    // A record without content still costs something, or an endless row of them would be free.
    const cost = Math.max(length, RECORD_HEADER);
    if (cost > this.#earlyDataLeft) throw new TlsError('too_much_early_data');
    this.#earlyDataLeft -= cost;
    this.#earlyDataRead += RECORD_HEADER + length;
  }
}

const CHANGE_CIPHER_SPEC_RECORD = Uint8Array.of(ContentType.changeCipherSpec, 3, 3, 0, 1, 1);

export class RecordWriter {
  readonly #provider: CryptoProvider;
  #protection: Protection | undefined;

  constructor(provider: CryptoProvider) {
    this.#provider = provider;
  }

  /** Number of the next record under the present keys. */
  get recordSeq(): number {
    return this.#protection?.recordSeq ?? 0;
  }

  /** The keys go with the hand-over: who takes them wipes them. */
  get keys(): RecordKeys | undefined {
    return this.#protection?.keys;
  }

  install(keys: RecordKeys): void {
    this.#protection?.wipe();
    this.#protection = new Protection(this.#provider, keys);
  }

  /** `content` as one record or, if it is too long for one, several. `parts` takes them. */
  write(type: number, content: Uint8Array, parts: Uint8Array[]): void {
    for (let at = 0; at < content.length; at += MAX_PLAINTEXT) {
      const fragment = content.subarray(at, Math.min(at + MAX_PLAINTEXT, content.length));
      if (this.#protection === undefined) {
        parts.push(recordHeader(type, fragment.length), fragment);
      } else {
        const inner = new Uint8Array(fragment.length + 1);
        inner.set(fragment);
        inner[fragment.length] = type;
        const header = recordHeader(ContentType.applicationData, inner.length + TAG_LENGTH);
        parts.push(header, this.#protection.seal(header, inner));
      }
    }
  }

  /** For middleboxes (RFC 8446 D.4); never protected. */
  writeChangeCipherSpec(parts: Uint8Array[]): void {
    parts.push(CHANGE_CIPHER_SPEC_RECORD);
  }

  wipe(): void {
    this.#protection?.wipe();
  }
}

function recordHeader(type: number, length: number): Uint8Array {
  return Uint8Array.of(type, TLS12 >> 8, TLS12 & 0xff, length >> 8, length & 0xff);
}

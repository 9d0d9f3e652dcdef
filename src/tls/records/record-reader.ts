/**
 * Records out of bytes (RFC 8446 section 5), for as long as the handshake lasts: the data plane has a record
 * layer of its own.
 */
import { type Reason, TlsError } from '../alerts.ts';
import { ByteQueue } from '../byte-queue.ts';
import { copyBytes } from '../bytes.ts';
import { ContentType, MAX_CIPHERTEXT, MAX_PLAINTEXT, RECORD_HEADER, TLS12 } from '../codepoints.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import type { Aligned } from '../handshake-joiner.ts';
import type { RecordKeys } from '../schedule/traffic-secret.ts';
import { type Protection, protectionFor } from './protection.ts';

export interface Record {
  readonly type: number;
  /** Aliases the input when the record was not protected. */
  readonly content: Uint8Array;
  readonly isProtected: boolean;
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

  /** What is in force; its keys are wiped with it. */
  get protection(): Protection | undefined {
    return this.#protection;
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
  install(keys: RecordKeys, _aligned: Aligned, recordSeq = 0): void {
    this.#protection?.wipe();
    this.#protection = protectionFor(this.#provider, keys, recordSeq);
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
      const protection = this.#protection;
      const sealed = type === ContentType.applicationData || protection?.showsType === true;
      const maxSealed = protection?.maxCiphertext ?? MAX_CIPHERTEXT;
      // RFC 8446 5.1: "The length MUST NOT exceed 2^14 bytes."; "An endpoint that receives a record that exceeds this
      // length MUST terminate the connection with a "record_overflow" alert." RFC 8446 5.2: "An endpoint that
      // receives a record that exceeds this length"; "larger than 2^14 + 256 octets MUST terminate the connection
      // with a "record_overflow" alert".
      if (length > (sealed ? maxSealed : MAX_PLAINTEXT)) throw new TlsError('record_too_long');
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
      // RFC 8446 D.5: "MUST NOT negotiate TLS 1.3 or later using an SSL version 2.0 compatible CLIENT-HELLO"; "SSL
      // 2.0 … MUST NOT be negotiated for any reason".
      throw new TlsError(this.#bytesRead === 0 ? 'not_tls' : 'unknown_content_type');
    }
    // RFC 5246 E.1: "MUST accept any value {03,XX} as the record layer version number for ClientHello".
    // RFC 8446 5.1: legacy_record_version "MUST be ignored for all purposes". RFC 8446 D.2: "various TLS 1.x versions
    // in this field, but its value MUST always be ignored". A major version other than 3 is not a version of TLS,
    // though.
    if (queue.length > 1 && queue.at(1) !== 3) throw new TlsError('wrong_record_version');
    // In TLS 1.2 it is the version that was negotiated (RFC 5246 6.2.1), and authenticated.
    if (queue.length > 2 && this.#protection?.showsType === true && queue.at(2) !== (TLS12 & 0xff)) {
      throw new TlsError('wrong_record_version');
    }
  }

  /** undefined: skipped. */
  #open(header: Uint8Array, sealed: Uint8Array): Record | undefined {
    const protection = this.#protection;
    if (protection === undefined) {
      this.#skip(sealed.length, 'application_data_in_handshake');
      return undefined;
    }
    const opened = protection.open(header, sealed);
    if (opened === null) {
      // RFC 8446 5.2: "If the decryption fails, the receiver MUST terminate the connection with a "bad_record_mac"
      // alert."
      // RFC 5246 6.2.3.3: "If the decryption fails, a fatal bad_record_mac alert MUST be generated." RFC 5246 7.2.2:
      // "because a TLSCiphertext decrypted in an invalid way".
      this.#skip(sealed.length, 'record_did_not_decrypt');
      return undefined;
    }
    this.#earlyDataLeft = undefined;
    return { type: opened.type, content: opened.content, isProtected: true };
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

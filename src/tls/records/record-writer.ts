/** Records of the handshake, under the keys that are in force. */
import { ContentType, MAX_PLAINTEXT, TLS10, TLS12 } from '../codepoints.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import type { RecordKeys } from '../schedule/traffic-secret.ts';
import { type Protection, protectionFor } from './protection.ts';
import { recordHeader } from './record-header.ts';

const CHANGE_CIPHER_SPEC_RECORD = Uint8Array.of(ContentType.changeCipherSpec, 3, 3, 0, 1, 1);

export class RecordWriter {
  readonly #provider: CryptoProvider;
  #protection: Protection | undefined;
  #plaintextVersion = TLS12;
  #changeCipherSpecDue = false;
  #maxFragment = MAX_PLAINTEXT;

  constructor(provider: CryptoProvider) {
    this.#provider = provider;
  }

  /** Number of the next record under the present keys. */
  get recordSeq(): number {
    return this.#protection?.recordSeq ?? 0;
  }

  /** What is in force; its keys are wiped with it. */
  get protection(): Protection | undefined {
    return this.#protection;
  }

  /** The keys go with the hand-over: who takes them wipes them. */
  get keys(): RecordKeys | undefined {
    return this.#protection?.keys;
  }

  install(keys: RecordKeys, recordSeq = 0): void {
    this.#protection?.wipe();
    this.#protection = protectionFor(this.#provider, keys, recordSeq);
  }

  /**
   * Bytes of content in a protected record at most, from here on (RFC 8449); unprotected ones are not bound by it.
   * RFC 8449 4: "MUST NOT generate a protected record with plaintext that is larger than the RecordSizeLimit value it
   * receives from its peer".
   */
  limitFragments(bytes: number): void {
    this.#maxFragment = bytes;
  }

  /**
   * `content` as one record or, if it is too long for one, several. `parts` takes them. RFC 8446 5.1: what goes
   * before a key change ends its `content`: "implementations MUST send these messages in alignment with a record
   * boundary".
   * RFC 5246 6.2.1: "in the same order as they are protected by the record layer".
   */
  write(type: number, content: Uint8Array, parts: Uint8Array[]): void {
    if (this.#changeCipherSpecDue) {
      this.#changeCipherSpecDue = false;
      this.writeChangeCipherSpec(parts);
    }
    const max = this.#protection === undefined ? MAX_PLAINTEXT : this.#maxFragment;
    for (let at = 0; at < content.length; at += max) {
      const fragment = content.subarray(at, Math.min(at + max, content.length));
      if (this.#protection === undefined) {
        parts.push(recordHeader(type, fragment.length, this.#plaintextVersion), fragment);
      } else {
        this.#protection.seal(type, fragment, parts);
      }
    }
  }

  /**
   * RFC 8446 5.1: the records of a first ClientHello "MAY also be 0x0301 for compatibility purposes"; there are
   * servers that close the connection at anything newer (RFC 5246 E.1).
   */
  writeFirstHello(message: Uint8Array, parts: Uint8Array[]): void {
    this.#plaintextVersion = TLS10;
    this.write(ContentType.handshake, message, parts);
    this.#plaintextVersion = TLS12;
  }

  /** A ChangeCipherSpec goes before the next record, whatever that is. */
  oweChangeCipherSpec(): void {
    this.#changeCipherSpecDue = true;
  }

  /** TLS 1.2's, or the one for middleboxes (RFC 8446 D.4); never protected. */
  writeChangeCipherSpec(parts: Uint8Array[]): void {
    parts.push(CHANGE_CIPHER_SPEC_RECORD);
  }

  wipe(): void {
    this.#protection?.wipe();
  }
}

import { Writer } from './codec/writer.ts';
import { HandshakeType } from './codepoints.ts';
import type { CryptoProvider, HashName } from './crypto-provider.ts';

/**
 * The handshake messages so far (RFC 8446 4.4.1). Kept as bytes and hashed when a hash is asked for: that is
 * four times in a handshake, and a few KB hash faster than a running hash state crosses into native code.
 * Our own messages are written straight into it and sent from it.
 */
export class Transcript {
  readonly writer: Writer;
  readonly #provider: CryptoProvider;
  readonly #hash: HashName;

  constructor(provider: CryptoProvider, hash: HashName, capacity: number) {
    this.#provider = provider;
    this.#hash = hash;
    this.writer = new Writer(capacity);
  }

  add(message: Uint8Array): void {
    this.writer.bytes(message);
  }

  /** In place of the first ClientHello when there is a HelloRetryRequest. */
  addHashOf(message: Uint8Array): void {
    this.addMessageHash(this.#provider.hash(this.#hash, message));
  }

  /** The same, where only its hash is left. */
  addMessageHash(hash: Uint8Array): void {
    const start = this.writer.openMessage(HandshakeType.messageHash);
    this.writer.bytes(hash);
    this.writer.closeMessage(start);
  }

  /** The messages themselves, which TLS 1.2 signs (RFC 5246 7.4.8). Aliases the transcript until it grows. */
  messages(): Uint8Array {
    return this.writer.view();
  }

  hash(): Uint8Array {
    return this.#provider.hash(this.#hash, this.writer.view());
  }
}

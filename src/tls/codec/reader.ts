import { TlsError } from '../alerts.ts';

/**
 * Reads a message from front to back. Every length a peer names is checked here, against the innermost
 * vector it lies in, and nowhere else. Results alias the bytes read.
 * RFC 8446 6: "which cannot be parsed according to the syntax (e.g., have a length extending beyond the message
 * boundary or contain an out-of-range length) MUST terminate the connection with a "decode_error" alert".
 */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  u16(): number {
    const at = this.#take(2);
    return (this.#bytes[at]! << 8) | this.#bytes[at + 1]!;
  }

  u32(): number {
    return this.u16() * 0x1_0000 + this.u16();
  }

  u24(): number {
    const at = this.#take(3);
    return (this.#bytes[at]! << 16) | (this.#bytes[at + 1]! << 8) | this.#bytes[at + 2]!;
  }

  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** The content of a vector with a length prefix of one byte; a shorter or longer one is a bad list. */
  bytes8(min: number, max = 0xff): Uint8Array {
    return this.#vector(this.u8(), min, max);
  }

  bytes16(min: number, max = 0xffff): Uint8Array {
    return this.#vector(this.u16(), min, max);
  }

  bytes24(min: number, max = 0xffffff): Uint8Array {
    return this.#vector(this.u24(), min, max);
  }

  /** A nested vector with a length prefix of two bytes. */
  nested16(min: number): Reader {
    return this.#nested(this.u16(), min);
  }

  nested24(min: number): Reader {
    return this.#nested(this.u24(), min);
  }

  #nested(length: number, min: number): Reader {
    if (length < min) throw new TlsError('bad_list_length');
    const at = this.#take(length);
    return new Reader(this.#bytes, at, at + length);
  }

  /** A vector of 16-bit numbers; `prefix` is the size of its length field. Not empty, as everywhere in a hello. */
  list16(prefix: 1 | 2): number[] {
    const length = prefix === 1 ? this.u8() : this.u16();
    if (length < 2 || length % 2 !== 0) throw new TlsError('bad_list_length');
    const at = this.#take(length);
    const list: number[] = [];
    for (let i = at; i < at + length; i += 2) list.push((this.#bytes[i]! << 8) | this.#bytes[i + 1]!);
    return list;
  }

  /** A message or vector ends where its last field ends. */
  expectEnd(): void {
    if (this.#at !== this.#end) throw new TlsError('trailing_data');
  }

  #vector(length: number, min: number, max: number): Uint8Array {
    if (length < min || length > max) throw new TlsError('bad_list_length');
    return this.bytes(length);
  }

  #take(length: number): number {
    const at = this.#at;
    if (length > this.#end - at) throw new TlsError('truncated_message');
    this.#at = at + length;
    return at;
  }
}

/** Appends fields to a growing buffer. Vectors and messages are opened, filled and closed; closing writes the length. */
export class Writer {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    const at = this.#grow(1);
    this.#bytes[at] = value;
  }

  u16(value: number): void {
    const at = this.#grow(2);
    this.#bytes[at] = value >> 8;
    this.#bytes[at + 1] = value;
  }

  u32(value: number): void {
    this.u16(value >>> 16);
    this.u16(value & 0xffff);
  }

  bytes(value: Uint8Array): void {
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
  }

  /** A whole vector with a length prefix of `prefix` bytes. */
  vector(prefix: 1 | 2 | 3, value: Uint8Array): void {
    const start = this.open(prefix);
    this.bytes(value);
    this.close(start, prefix);
  }

  /** A vector of 16-bit numbers. */
  list16(prefix: 1 | 2, values: readonly number[]): void {
    const start = this.open(prefix);
    for (const value of values) this.u16(value);
    this.close(start, prefix);
  }

  /** Starts a vector with a length prefix of `prefix` bytes; hand the result to `close`. */
  open(prefix: 1 | 2 | 3): number {
    return this.#grow(prefix) + prefix;
  }

  close(start: number, prefix: 1 | 2 | 3): void {
    const length = this.#length - start;
    // Lengths here are of our own making; a configured chain or name that does not fit is a caller's fault.
    if (length >= 2 ** (8 * prefix))
      throw new RangeError(`a vector of ${length} bytes has a ${prefix}-byte length`);
    for (let i = 1, rest = length; i <= prefix; i++, rest >>>= 8) this.#bytes[start - i] = rest;
  }

  /** Takes back what was written from `start` on. */
  undo(start: number): void {
    this.#length = start;
  }

  /** Handshake message header; hand the result to `closeMessage`. */
  openMessage(type: number): number {
    this.u8(type);
    return this.open(3);
  }

  closeMessage(start: number): void {
    this.close(start, 3);
  }

  /** What has been written from `start` on; aliases the buffer until the next write. */
  view(start = 0): Uint8Array {
    return this.#bytes.subarray(start, this.#length);
  }

  #grow(by: number): number {
    const at = this.#length;
    const length = at + by;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(length, this.#bytes.length * 2));
      larger.set(this.view());
      this.#bytes = larger;
    }
    this.#length = length;
    return at;
  }
}

/**
 * Bytes that have come and are not used up. While the queue is empty it borrows what is pushed and copies
 * nothing; `settle` copies what is left, since the lender may reuse its buffer after the call.
 */
export class ByteQueue {
  #bytes: Uint8Array = EMPTY;
  #start = 0;
  #end = 0;
  #borrowed = false;

  get length(): number {
    return this.#end - this.#start;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.length === 0) {
      this.#bytes = bytes;
      this.#start = 0;
      this.#end = bytes.length;
      this.#borrowed = true;
      return;
    }
    if (this.#borrowed || this.#end + bytes.length > this.#bytes.length) this.#move(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** The byte at `offset` from the front; there must be one. */
  at(offset: number): number {
    return this.#bytes[this.#start + offset]!;
  }

  /** The first `length` bytes, valid until the next push. */
  take(length: number): Uint8Array {
    const start = this.#start;
    this.#start = start + length;
    return this.#bytes.subarray(start, this.#start);
  }

  settle(): void {
    if (this.#borrowed) this.#move(0);
  }

  clear(): void {
    this.#bytes = EMPTY;
    this.#start = 0;
    this.#end = 0;
    this.#borrowed = false;
  }

  /** To a buffer of our own with room for `more`. Doubling, so that single bytes cost amortised O(1). */
  #move(more: number): void {
    const length = this.length;
    if (length + more === 0) {
      this.clear();
      return;
    }
    const target = new Uint8Array(more === 0 ? length : Math.max(512, 2 * (length + more)));
    target.set(this.#bytes.subarray(this.#start, this.#end));
    this.#bytes = target;
    this.#start = 0;
    this.#end = length;
    this.#borrowed = false;
  }
}

const EMPTY = new Uint8Array(0);

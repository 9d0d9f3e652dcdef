/**
 * Which tickets were used, for those that may resume one session only. A table in shared memory, so that all control
 * workers of a process ask the same one. Bounded: when a ticket finds no room it counts as used, and the handshake
 * goes on in full.
 *
 * Two generations, each as long as a ticket lives: what is in the older one when a new one begins has expired.
 */
import { saltOf } from '../../tls/session/index.ts';

export interface SingleUseOptions {
  /** Milliseconds, the same clock in every thread. */
  now(): number;
  /** How long a ticket lives, ms. */
  readonly lifetime: number;
}

/** Slots looked at for one ticket. */
const PROBES = 16;
const HEADER_SLOTS = 2;
const AT_BEGIN = 0;
/** Generation, twice; odd while a new one is being made. */
const AT_GENERATION = 1;

export class SingleUseTable {
  readonly #slots: BigUint64Array;
  readonly #size: number;
  readonly #options: SingleUseOptions;

  constructor(shared: SharedArrayBuffer, options: SingleUseOptions) {
    this.#slots = new BigUint64Array(shared);
    this.#size = (this.#slots.length - HEADER_SLOTS) / 2;
    this.#options = options;
    Atomics.compareExchange(this.#slots, AT_BEGIN, 0n, BigInt(options.now()));
  }

  /** Memory for `tickets` uses in one lifetime, rounded up to a power of two; 16 bytes each. */
  static memory(tickets: number): SharedArrayBuffer {
    const size = 2 ** Math.ceil(Math.log2(Math.max(tickets, PROBES) * 2));
    return new SharedArrayBuffer(8 * (HEADER_SLOTS + 2 * size));
  }

  /** True for the first call with this ticket. `ticket` has been opened: its salt is one of ours, random. */
  claim(ticket: Uint8Array): boolean {
    const salt = saltOf(ticket);
    if (salt.length < 16) return false;
    const view = new DataView(salt.buffer, salt.byteOffset, salt.byteLength);
    // 0 is an empty slot. Two tickets with one mark: the second gets a full handshake.
    const mark = view.getBigUint64(0) || 1n;
    const start = view.getUint32(8);
    const generation = this.#generation();
    if (this.#find(generation + 1, start, mark) || !this.#insert(generation, start, mark)) return false;
    // Another thread may have begun a new generation meanwhile, and looked in this one before it was written.
    const later = this.#generation();
    return later === generation || this.#insert(later, start, mark);
  }

  #find(generation: number, start: number, mark: bigint): boolean {
    for (let i = 0; i < PROBES; i++) {
      const held = Atomics.load(this.#slots, this.#slot(generation, start + i));
      if (held === mark) return true;
      if (held === 0n) return false;
    }
    return false;
  }

  #insert(generation: number, start: number, mark: bigint): boolean {
    for (let i = 0; i < PROBES; i++) {
      const held = Atomics.compareExchange(this.#slots, this.#slot(generation, start + i), 0n, mark);
      if (held === 0n) return true;
      if (held === mark) return false;
    }
    return false;
  }

  #slot(generation: number, at: number): number {
    return HEADER_SLOTS + (generation % 2) * this.#size + (at % this.#size);
  }

  /** One thread makes a new generation; the others use the present one meanwhile. */
  #generation(): number {
    const slots = this.#slots;
    const state = Atomics.load(slots, AT_GENERATION);
    const now = BigInt(this.#options.now());
    const due = now - Atomics.load(slots, AT_BEGIN) >= BigInt(this.#options.lifetime);
    const generation = Number(state >> 1n);
    if (!due || (state & 1n) === 1n) return generation;
    if (Atomics.compareExchange(slots, AT_GENERATION, state, state + 1n) !== state) return generation;
    // Nothing in the older half can still be valid; whoever asks it meanwhile asks about a ticket that is.
    const from = this.#slot(generation + 1, 0);
    for (let i = from; i < from + this.#size; i++) Atomics.store(slots, i, 0n);
    Atomics.store(slots, AT_BEGIN, now);
    Atomics.store(slots, AT_GENERATION, state + 2n);
    return generation + 1;
  }
}

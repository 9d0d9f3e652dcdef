/**
 * Counters in shared memory: one thread adds, others read whenever they like and see whole numbers. A name gets its
 * place when it is first counted.
 */
import type { CounterSink } from './handshake-counters.ts';

const CAPACITY = 1024;
const NAME_BYTES = 64 * 1024;
/** A word before the values: how many names there are. */
const HEADER = 1;
const BYTES = 8 * (HEADER + CAPACITY) + NAME_BYTES;
/** Where names go that found no room: none does with names from a configuration's few values. */
const OTHERS = 'others';

interface Views {
  readonly words: BigInt64Array;
  readonly names: Buffer;
}

function viewsOf(memory: SharedArrayBuffer): Views {
  return {
    words: new BigInt64Array(memory, 0, HEADER + CAPACITY),
    names: Buffer.from(memory, 8 * (HEADER + CAPACITY), NAME_BYTES),
  };
}

/** The thread that adds. One per memory. */
export class SharedCounters implements CounterSink {
  readonly #views: Views;
  readonly #places = new Map<string, number>();
  #nameBytes = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#views = viewsOf(memory);
    this.#place(OTHERS);
  }

  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(BYTES);
  }

  add(name: string, by: number): void {
    const place = this.#places.get(name) ?? this.#place(name);
    Atomics.add(this.#views.words, HEADER + place, BigInt(by));
  }

  #place(name: string): number {
    const { words, names } = this.#views;
    const length = Buffer.byteLength(name);
    const place = this.#places.size;
    if (place === CAPACITY || length > 255 || this.#nameBytes + 1 + length > NAME_BYTES) return 0;
    names[this.#nameBytes] = length;
    names.write(name, this.#nameBytes + 1);
    this.#nameBytes += 1 + length;
    this.#places.set(name, place);
    // Last: whoever sees the number sees the name.
    Atomics.store(words, 0, BigInt(place + 1));
    return place;
  }
}

/** By any other thread, at any time; also after the one that added has ended. */
export function readShared(memory: SharedArrayBuffer): Map<string, number> {
  const { words, names } = viewsOf(memory);
  const count = Number(Atomics.load(words, 0));
  const values = new Map<string, number>();
  let at = 0;
  for (let place = 0; place < count; ++place) {
    const end = at + 1 + names[at]!;
    values.set(names.toString('utf8', at + 1, end), Number(Atomics.load(words, HEADER + place)));
    at = end;
  }
  return values;
}

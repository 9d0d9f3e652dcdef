interface Entry<Value> {
  readonly name: string;
  readonly values: Value[];
}

const UPPER_A = 0x41;
const UPPER_Z = 0x5a;
const DOT = 0x2e;

/**
 * Host names to values, asked with any part of a name from some position to its end: no substring and no lower-case copy
 * is made per look-up. ASCII letters compare without case (RFC 4343); a final dot does not count.
 */
export class NameTable<Value> {
  readonly #buckets = new Map<number, Entry<Value>[]>();

  /** Names in lower case; the values of one name keep their order. */
  constructor(pairs: Iterable<readonly [string, Value]>) {
    for (const [name, value] of pairs) {
      const hash = hashOf(name, 0, name.length);
      const bucket = this.#buckets.get(hash) ?? [];
      const entry = bucket.find((candidate) => candidate.name === name);
      if (entry === undefined) bucket.push({ name, values: [value] });
      else entry.values.push(value);
      this.#buckets.set(hash, bucket);
    }
  }

  /** The values for `text.slice(from)`. */
  find(text: string, from: number): readonly Value[] | undefined {
    const end = text.charCodeAt(text.length - 1) === DOT ? text.length - 1 : text.length;
    const bucket = this.#buckets.get(hashOf(text, from, end));
    if (bucket === undefined) return undefined;
    for (let i = 0; i < bucket.length; i++) {
      const entry = bucket[i]!;
      if (isSame(entry.name, text, from, end)) return entry.values;
    }
    return undefined;
  }
}

function lower(code: number): number {
  return code >= UPPER_A && code <= UPPER_Z ? code + 32 : code;
}

/** FNV-1a, 32 bits. Who asks cannot add entries, so collisions gain nothing. */
function hashOf(text: string, from: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = from; i < end; i++) hash = Math.imul(hash ^ lower(text.charCodeAt(i)), 0x01000193);
  return hash | 0;
}

function isSame(name: string, text: string, from: number, end: number): boolean {
  if (name.length !== end - from) return false;
  for (let i = 0; i < name.length; i++) {
    if (name.charCodeAt(i) !== lower(text.charCodeAt(from + i))) return false;
  }
  return true;
}

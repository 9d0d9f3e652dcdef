/** Changes that find their way through length fields, of TLS and of DER alike. */
import type { Random } from '../../support/random.ts';

export interface MutatorOptions {
  /** Words of the format. */
  readonly words: readonly Uint8Array[];
  /** Whether an element of DER may be changed with all the lengths around it made to fit. */
  readonly der: boolean;
  /** Bytes. */
  readonly maxLength: number;
}

const INTERESTING = [0, 1, 2, 3, 4, 0x10, 0x20, 0x30, 0x7f, 0x80, 0x81, 0x82, 0xfe, 0xff];

/** One to four changes to `input`; `other` is spliced with it. */
export function mutated(
  random: Random,
  input: Uint8Array,
  other: Uint8Array,
  options: MutatorOptions,
): Uint8Array {
  let bytes: Uint8Array = Uint8Array.from(input);
  for (let changes = 1 + random.below(4); changes > 0; changes--)
    bytes = changed(random, bytes, other, options);
  return bytes.subarray(0, options.maxLength);
}

function changed(random: Random, bytes: Uint8Array, other: Uint8Array, options: MutatorOptions): Uint8Array {
  if (bytes.length === 0) return random.bytes(1 + random.below(8));
  const at = random.below(bytes.length);
  const size = 1 + random.below(random.below(4) === 0 ? 64 : 8);
  const end = Math.min(bytes.length, at + size);
  switch (random.below(options.der ? 12 : 10)) {
    case 0:
      bytes[at]! ^= 1 << random.below(8);
      return bytes;
    case 1:
      bytes[at] = INTERESTING[random.below(INTERESTING.length)]!;
      return bytes;
    case 2:
      bytes[at] = random.below(256);
      return bytes;
    case 3:
      return joined(bytes.subarray(0, at), random.bytes(size), bytes.subarray(at));
    case 4:
      return joined(bytes.subarray(0, at), bytes.subarray(end));
    case 5:
      return joined(bytes.subarray(0, end), bytes.subarray(at));
    case 6: {
      const from = random.below(other.length + 1);
      return joined(bytes.subarray(0, at), other.subarray(from, from + size), bytes.subarray(end));
    }
    case 7: {
      const from = random.below(other.length + 1);
      return joined(bytes.subarray(0, at), other.subarray(from));
    }
    case 8:
      return withNumber(random, bytes, at);
    case 9: {
      const word = options.words[random.below(options.words.length)] ?? random.bytes(4);
      return joined(
        bytes.subarray(0, at),
        word,
        bytes.subarray(random.below(2) === 0 ? at : at + word.length),
      );
    }
    default:
      return withElement(random, bytes, other);
  }
}

/** A big-endian number of one to three bytes, changed by a little, or to the length of what follows. */
function withNumber(random: Random, bytes: Uint8Array, at: number): Uint8Array {
  const size = Math.min(1 + random.below(3), bytes.length - at);
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + bytes[at + i]!;
  value = random.below(3) === 0 ? bytes.length - at - size : value + random.below(9) - 4;
  for (let i = size - 1; i >= 0; i--) {
    bytes[at + i] = value & 0xff;
    value >>= 8;
  }
  return bytes;
}

interface Element {
  readonly start: number;
  readonly content: number;
  readonly end: number;
  readonly parents: readonly Element[];
}

/** Elements of DER, also within OCTET STRINGs and BIT STRINGs, as far as they make sense. */
function elements(
  bytes: Uint8Array,
  from: number,
  to: number,
  parents: readonly Element[],
  found: Element[],
): Element[] {
  for (let at = from; at + 2 <= to && found.length < 500; ) {
    const length = lengthAt(bytes, at + 1);
    if (length === undefined || length.content + length.value > to) return found;
    const element = { start: at, content: length.content, end: length.content + length.value, parents };
    found.push(element);
    const tag = bytes[at]!;
    const inner = tag === 3 ? element.content + 1 : element.content;
    if (((tag & 0x20) !== 0 || tag === 3 || tag === 4) && parents.length < 20) {
      elements(bytes, inner, element.end, [...parents, element], found);
    }
    at = element.end;
  }
  return found;
}

function lengthAt(bytes: Uint8Array, at: number): { value: number; content: number } | undefined {
  const first = bytes[at]!;
  if (first < 0x80) return { value: first, content: at + 1 };
  const size = first & 0x7f;
  if (size === 0 || size > 3 || at + 1 + size > bytes.length) return undefined;
  let value = 0;
  for (let i = 1; i <= size; i++) value = value * 256 + bytes[at + i]!;
  return { value, content: at + 1 + size };
}

function derLength(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  if (length < 0x100) return Uint8Array.of(0x81, length);
  return length < 0x1_0000
    ? Uint8Array.of(0x82, length >> 8, length & 0xff)
    : Uint8Array.of(0x83, length >> 16, (length >> 8) & 0xff, length & 0xff);
}

/** One element replaced, removed, doubled or given other content; the lengths around it fit afterwards. */
function withElement(random: Random, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  const all = elements(bytes, 0, bytes.length, [], []);
  if (all.length === 0) return bytes;
  const target = all[random.below(all.length)]!;
  const theirs = elements(other, 0, other.length, [], []);
  const donor = theirs[random.below(Math.max(1, theirs.length))];
  const own = bytes.subarray(target.start, target.end);
  let replacement: Uint8Array;
  switch (random.below(5)) {
    case 0:
      replacement = donor === undefined ? own : other.subarray(donor.start, donor.end);
      break;
    case 1:
      replacement = new Uint8Array(0);
      break;
    case 2:
      replacement = joined(own, own);
      break;
    case 3: {
      const content = random.bytes(random.below(12));
      replacement = joined(own.subarray(0, 1), derLength(content.length), content);
      break;
    }
    default:
      replacement = joined(own, donor === undefined ? own : other.subarray(donor.start, donor.end));
  }
  let result = replacement;
  let [start, end] = [target.start, target.end];
  for (const parent of target.parents.toReversed()) {
    const content = joined(bytes.subarray(parent.content, start), result, bytes.subarray(end, parent.end));
    result = joined(bytes.subarray(parent.start, parent.start + 1), derLength(content.length), content);
    [start, end] = [parent.start, parent.end];
  }
  return joined(bytes.subarray(0, start), result, bytes.subarray(end));
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

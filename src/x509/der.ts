/**
 * A strict look at DER before asn1-schema sees it. asn1-schema reads BER, stops at the first element and copies what it
 * reads; here lengths are definite and minimal (X.690 10.1), nothing follows the outermost element, and raw slices are
 * views on the input, so that names and keys can be compared byte for byte.
 */
import { AsnConvert } from '@peculiar/asn1-schema';

export const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  sequence: 0x30,
  set: 0x31,
} as const;

const CONSTRUCTED = 0x20;
const MAX_DEPTH = 32;

/** Offsets into the buffer that was read. `tag` is the first identifier octet. */
export interface DerElement {
  readonly tag: number;
  readonly start: number;
  readonly contentStart: number;
  readonly end: number;
}

/** The element at `offset`, which must end at or before `limit`; undefined when it is not DER. */
export function readElement(bytes: Uint8Array, offset: number, limit: number): DerElement | undefined {
  let at = offset;
  if (at + 2 > limit) return undefined;
  const tag = bytes[at++]!;
  if ((tag & 0x1f) === 0x1f) {
    // High tag numbers: up to four octets are more than any standard uses.
    let octets = 0;
    let octet = 0x80;
    while ((octet & 0x80) !== 0) {
      if (at >= limit || ++octets > 4) return undefined;
      octet = bytes[at++]!;
    }
    if (at >= limit) return undefined;
  }
  let length = bytes[at++]!;
  if (length >= 0x80) {
    const octets = length & 0x7f;
    if (octets === 0 || octets > 4 || at + octets > limit || bytes[at] === 0) return undefined;
    length = 0;
    for (let i = 0; i < octets; i++) length = length * 256 + bytes[at++]!;
    if (length < 0x80) return undefined;
  }
  if (length > limit - at) return undefined;
  return { tag, start: offset, contentStart: at, end: at + length };
}

/** The elements inside a constructed one; undefined when they do not fill it exactly. */
export function childrenOf(bytes: Uint8Array, parent: DerElement): DerElement[] | undefined {
  const children: DerElement[] = [];
  for (let at = parent.contentStart; at < parent.end; ) {
    const child = readElement(bytes, at, parent.end);
    if (child === undefined) return undefined;
    children.push(child);
    at = child.end;
  }
  return children;
}

/** The children of the SEQUENCE that `bytes` is, from its first byte to its last; undefined for anything else. */
export function sequenceOf(bytes: Uint8Array): DerElement[] | undefined {
  const outer = readElement(bytes, 0, bytes.length);
  if (outer === undefined || outer.tag !== TAG.sequence || outer.end !== bytes.length) return undefined;
  return childrenOf(bytes, outer);
}

/** True when `bytes` is exactly one DER element, all the way down. */
export function isDer(bytes: Uint8Array): boolean {
  const outer = readElement(bytes, 0, bytes.length);
  return outer !== undefined && outer.end === bytes.length && isWellFormed(bytes, outer, 0);
}

function isWellFormed(bytes: Uint8Array, element: DerElement, depth: number): boolean {
  if ((element.tag & CONSTRUCTED) === 0) return true;
  if (depth === MAX_DEPTH) return false;
  const children = childrenOf(bytes, element);
  return children?.every((child) => isWellFormed(bytes, child, depth + 1)) ?? false;
}

/**
 * How many elements there are at all depths, and within OCTET STRINGs that hold DER, as extensions do; Infinity above `most`.
 * It costs little beside a parse, which costs 10 us and more for each element.
 */
export function countElements(bytes: Uint8Array, most: number): number {
  let count = 0;
  const visitAll = (from: number, to: number, depth: number): void => {
    for (let at = from; at < to && depth < MAX_DEPTH; ) {
      const element = readElement(bytes, at, to);
      if (element === undefined || ++count > most) return;
      if ((element.tag & CONSTRUCTED) !== 0 || element.tag === TAG.octetString) {
        visitAll(element.contentStart, element.end, depth + 1);
      }
      at = element.end;
    }
  };
  visitAll(0, bytes.length, 0);
  return count > most ? Number.POSITIVE_INFINITY : count;
}

export function slice(bytes: Uint8Array, element: DerElement): Uint8Array {
  return bytes.subarray(element.start, element.end);
}

export function contentOf(bytes: Uint8Array, element: DerElement): Uint8Array {
  return bytes.subarray(element.contentStart, element.end);
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

export class DerError extends Error {}

/**
 * `bytes` as an instance of one of the @peculiar schema classes. Throws DerError, whatever goes wrong inside. The working
 * copy that asn1-schema parses from is zeroised when `secret`; the fields of the result are the caller's.
 */
export function parseAs<T>(bytes: Uint8Array, schema: new () => T, secret = false): T {
  if (!isDer(bytes)) throw new DerError('not DER');
  const copy = Uint8Array.from(bytes);
  try {
    return AsnConvert.parse(copy.buffer, schema);
  } catch (error) {
    throw new DerError(`not a ${schema.name}`, { cause: error });
  } finally {
    if (secret) copy.fill(0);
  }
}

export function serialize(value: object): Uint8Array {
  return new Uint8Array(AsnConvert.serialize(value));
}

/** Several byte ranges in one request: RFC 9110, sections 14 and 15.3.7.2. Single ranges are the engine's. */
import { randomBytes } from 'node:crypto';

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** More than this is no honest client: RFC 9110, 14.2 and 17.15 let a server ignore the field. */
export const MAX_RANGES = 16;
/** Closer than this, sending the gap costs less than another part header (RFC 9110, 15.3.7.2). */
const PART_OVERHEAD = 128;
const RANGE_SET = /^bytes=(.*)$/i;
/** Spaces about the numbers pass, as in the engine and in nginx. */
const RANGE = /^(?:(\d+)[ \t]*-[ \t]*(\d*)|-[ \t]*(\d+))$/;

/** True when the field asks for more than one range; only then is it ours to answer. */
export function asksForSeveral(range: string | undefined): range is string {
  return range !== undefined && RANGE_SET.test(range) && range.includes(',');
}

/**
 * The satisfiable ranges, overlapping and near ones joined, in the order in which the client first asked
 * for them. The rules are those of the engine (native/engine/http/range.cc), which answers single ranges:
 * 'ignore' (too many, or more in sum than the file has: CVE-2011-3192) gets the whole file,
 * 'unsatisfiable' (also: malformed) a 416.
 */
export function parseRanges(field: string, size: number): readonly ByteRange[] | 'ignore' | 'unsatisfiable' {
  const ranges: { first: number; end: number; order: number }[] = [];
  let members = 0;
  let total = 0;
  for (const each of (RANGE_SET.exec(field)?.[1] ?? '').split(',')) {
    const spec = each.trim();
    if (spec === '') continue;
    if (++members > MAX_RANGES) return 'ignore';
    const match = RANGE.exec(spec);
    if (match === null) return 'unsatisfiable';
    const [, from, to, suffix] = match;
    const first = from === undefined ? Math.max(0, size - Number(suffix)) : Number(from);
    const end = from === undefined || to === '' ? size : Math.min(Number(to) + 1, size);
    if (first >= end) {
      if (size === 0 && first === 0) return 'ignore';
      continue;
    }
    total += end - first;
    if (total > size) return 'ignore';
    ranges.push({ first, end, order: members });
  }
  if (ranges.length === 0) return 'unsatisfiable';
  ranges.sort((a, b) => a.first - b.first);
  const joined: typeof ranges = [];
  for (const range of ranges) {
    const before = joined.at(-1);
    if (before !== undefined && range.first < before.end + PART_OVERHEAD) {
      before.end = Math.max(before.end, range.end);
      before.order = Math.min(before.order, range.order);
    } else joined.push(range);
  }
  joined.sort((a, b) => a.order - b.order);
  return joined.map(({ first, end }) => ({ offset: first, length: end - first }));
}

export function contentRange({ offset, length }: ByteRange, size: number): string {
  return `bytes ${offset}-${offset + length - 1}/${size}`;
}

/** A multipart/byteranges body: part headers and slices in turn. The boundary cannot be guessed, so no file can contain it on purpose. */
export function multipart(ranges: readonly ByteRange[], size: number, type: string) {
  const boundary = randomBytes(18).toString('hex');
  const segments: (Uint8Array | ByteRange)[] = [];
  let before = '';
  for (const range of ranges) {
    segments.push(
      Buffer.from(
        `${before}--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: ${contentRange(range, size)}\r\n\r\n`,
        'latin1',
      ),
      range,
    );
    before = '\r\n';
  }
  segments.push(Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1'));
  return { type: `multipart/byteranges; boundary=${boundary}`, segments };
}

/**
 * Preconditions, for the one case that the engine leaves to us: a request for several ranges. Everything
 * else is evaluated by the engine (native/engine/http).
 */
import type { FileVariant } from '../plane/entry.ts';

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');
const DAY = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const LONG_DAY = '(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)';
const TIME = '(\\d\\d):(\\d\\d):(\\d\\d)';
const MONTH = `(${MONTHS.join('|')})`;
const IMF_FIXDATE = new RegExp(`^${DAY}, (\\d\\d) ${MONTH} (\\d{4}) ${TIME} GMT$`);
const RFC850_DATE = new RegExp(`^${LONG_DAY}, (\\d\\d)-${MONTH}-(\\d\\d) ${TIME} GMT$`);
const ASCTIME_DATE = new RegExp(`^${DAY} ${MONTH} ([ \\d]\\d) ${TIME} (\\d{4})$`);

/** Seconds since the epoch from any of the three forms of RFC 9110, 5.6.7; undefined for anything else. */
export function parseHttpDate(date: string): number | undefined {
  let parts: readonly [
    day: string,
    month: string,
    year: string,
    hours: string,
    minutes: string,
    seconds: string,
  ];
  const match = IMF_FIXDATE.exec(date) ?? RFC850_DATE.exec(date);
  if (match !== null) parts = match.slice(1) as unknown as typeof parts;
  else {
    const asctime = ASCTIME_DATE.exec(date);
    if (asctime === null) return undefined;
    const [, month, day, hours, minutes, seconds, year] = asctime as unknown as string[];
    parts = [day!, month!, year!, hours!, minutes!, seconds!];
  }
  const [day, monthName, yearText, hours, minutes, seconds] = parts;
  let year = Number(yearText);
  if (yearText.length === 2) {
    // More than 50 years ahead means the past century.
    const now = new Date().getUTCFullYear();
    year += now - (now % 100);
    if (year > now + 50) year -= 100;
  }
  const month = MONTHS.indexOf(monthName);
  const time = Date.UTC(
    year,
    month,
    Number(day),
    Number(hours),
    Number(minutes),
    Math.min(Number(seconds), 59),
  );
  const made = new Date(time);
  if (
    made.getUTCMonth() !== month ||
    made.getUTCDate() !== Number(day) ||
    made.getUTCHours() !== Number(hours)
  )
    return undefined;
  return Number(minutes) > 59 || Number(seconds) > 60 ? undefined : time / 1000 + (seconds === '60' ? 1 : 0);
}

export function formatHttpDate(seconds: number): string {
  return new Date(seconds * 1000).toUTCString();
}

const TAG = /[ \t,]*(W\/)?("[!#-~\x80-\xff]*")[ \t]*(?=,|$)/y;

/** "*" or a list of entity-tags; reading ends at the first malformed member, as in the engine. */
function listed(field: string, etag: string, comparison: 'strong' | 'weak'): boolean {
  if (field.trim() === '*') return true;
  TAG.lastIndex = 0;
  for (let match = TAG.exec(field); match !== null; match = TAG.exec(field)) {
    if (match[2] === etag && (comparison === 'weak' || match[1] === undefined)) return true;
  }
  return false;
}

/** What the preconditions of a GET say of a representation, in the order of RFC 9110, 13.2.2. */
export function evaluateConditions(
  headers: ReadonlyMap<string, string>,
  { etag, lastModified }: Pick<FileVariant, 'etag' | 'lastModified'>,
): 'ranges' | 'whole' | 304 | 412 {
  const ifMatch = headers.get('if-match');
  const ifUnmodified = headers.get('if-unmodified-since');
  if (ifMatch !== undefined) {
    if (!listed(ifMatch, etag, 'strong')) return 412;
  } else if (ifUnmodified !== undefined && lastModified >= 0) {
    const date = parseHttpDate(ifUnmodified);
    if (date !== undefined && lastModified > date) return 412;
  }
  const ifNoneMatch = headers.get('if-none-match');
  const ifModified = headers.get('if-modified-since');
  if (ifNoneMatch !== undefined) {
    if (listed(ifNoneMatch, etag, 'weak')) return 304;
  } else if (ifModified !== undefined && lastModified >= 0) {
    const date = parseHttpDate(ifModified);
    if (date !== undefined && lastModified <= date) return 304;
  }
  const ifRange = headers.get('if-range');
  if (ifRange === undefined) return 'ranges';
  // Strong comparison (RFC 9110, 13.1.5); a date must be exactly ours.
  if (ifRange.startsWith('"') || ifRange.startsWith('W/')) return ifRange === etag ? 'ranges' : 'whole';
  return lastModified >= 0 && parseHttpDate(ifRange) === lastModified ? 'ranges' : 'whole';
}

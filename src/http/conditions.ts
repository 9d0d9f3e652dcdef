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

function listed(field: string, etags: readonly string[], weak: boolean): boolean {
  if (field.trim() === '*') return true;
  const tags = field.match(/(?:W\/)?"[!#-~\x80-\xff]*"/g) ?? [];
  return tags.some((tag) => etags.includes(weak && tag.startsWith('W/') ? tag.slice(2) : tag));
}

/** False when the engine has something else than ranges to answer: a 304, a 412, or the whole file (If-Range). */
export function rangesApply(headers: ReadonlyMap<string, string>, variants: readonly FileVariant[]): boolean {
  const identity = variants.find((variant) => variant.coding === 'identity')!;
  const etags = variants.map((variant) => variant.etag).filter((etag) => etag !== '');
  const { lastModified } = identity;
  const ifMatch = headers.get('if-match');
  const ifUnmodified = headers.get('if-unmodified-since');
  if (ifMatch !== undefined) {
    if (!listed(ifMatch, etags, false)) return false;
  } else if (ifUnmodified !== undefined && lastModified >= 0) {
    const date = parseHttpDate(ifUnmodified);
    if (date !== undefined && lastModified > date) return false;
  }
  const ifNoneMatch = headers.get('if-none-match');
  const ifModified = headers.get('if-modified-since');
  if (ifNoneMatch !== undefined) {
    if (listed(ifNoneMatch, etags, true)) return false;
  } else if (ifModified !== undefined && lastModified >= 0) {
    const date = parseHttpDate(ifModified);
    if (date !== undefined && lastModified <= date) return false;
  }
  const ifRange = headers.get('if-range')?.trim();
  if (ifRange === undefined) return true;
  // Strong comparison (RFC 9110, 13.1.5); a date must be equal and, being one of ours, is strong after a second.
  if (ifRange.includes('"')) return ifRange === identity.etag && ifRange !== '';
  const date = parseHttpDate(ifRange);
  return date !== undefined && lastModified >= 0 && date === lastModified && date * 1000 < Date.now() - 1000;
}

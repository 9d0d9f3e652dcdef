/** Readers of the options about files whose values have a form of their own; http/ checks what is in them. */
import { INVALID } from './option.ts';

export type Coding = 'br' | 'zstd' | 'gzip';
export interface HeaderSetting {
  readonly match: string;
  readonly name: string;
  readonly value: string;
}
export interface CacheSetting {
  readonly match: string;
  readonly value: string;
}
export type CachePreset = 'default' | 'revalidate' | 'immutable' | 'no-store' | 'off';
export const CACHE_PRESETS: readonly CachePreset[] = [
  'default',
  'revalidate',
  'immutable',
  'no-store',
  'off',
];

const isRule = (rule: unknown, keys: readonly string[]): boolean =>
  typeof rule === 'object' &&
  rule !== null &&
  Object.keys(rule).every((key) => keys.includes(key)) &&
  keys.every((key) => typeof (rule as Record<string, unknown>)[key] === 'string');

export function readHeaders(input: unknown): readonly HeaderSetting[] | typeof INVALID {
  if (typeof input === 'string' && input.trimStart().startsWith('[')) {
    try {
      return readHeaders(JSON.parse(input));
    } catch {
      return INVALID;
    }
  }
  const out: HeaderSetting[] = [];
  if (isRule(input, ['match', 'name', 'value'])) return [input as HeaderSetting];
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) {
    // {"X-Name": "value"}: on every path.
    for (const [name, value] of Object.entries(input)) {
      if (typeof value !== 'string') return INVALID;
      out.push({ match: '**', name, value });
    }
    return out;
  }
  for (const one of Array.isArray(input) ? input : [input]) {
    if (typeof one === 'string') {
      const colon = one.indexOf(':');
      if (colon < 1) return INVALID;
      out.push({ match: '**', name: one.slice(0, colon).trim(), value: one.slice(colon + 1).trim() });
    } else if (isRule(one, ['match', 'name', 'value'])) {
      out.push(one as HeaderSetting);
    } else {
      return INVALID;
    }
  }
  return out;
}

export function readCacheControl(input: unknown): CachePreset | readonly CacheSetting[] | typeof INVALID {
  if (typeof input === 'string' && input.trimStart().startsWith('[')) {
    try {
      return readCacheControl(JSON.parse(input));
    } catch {
      return INVALID;
    }
  }
  if (Array.isArray(input)) return input.every((rule) => isRule(rule, ['match', 'value'])) ? input : INVALID;
  return CACHE_PRESETS.find((preset) => preset === input) ?? INVALID;
}

export function readCors(input: unknown): false | '*' | readonly string[] | typeof INVALID {
  if (input === false || input === 'off') return false;
  const origins = Array.isArray(input) ? input : [input];
  if (origins.length === 1 && origins[0] === '*') return '*';
  return origins.length > 0 &&
    origins.every((one) => typeof one === 'string' && /^[a-z][a-z0-9+.-]*:\/\/\S+$/.test(one))
    ? (origins as string[])
    : INVALID;
}

/** Durations and sizes as people write them. */

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const KI = 1024;
const SIZE_BYTES: Readonly<Record<string, number>> = {
  b: 1,
  k: KI,
  kb: KI,
  kib: KI,
  m: KI ** 2,
  mb: KI ** 2,
  mib: KI ** 2,
  g: KI ** 3,
  gb: KI ** 3,
  gib: KI ** 3,
};

function withUnit(text: string, units: Readonly<Record<string, number>>): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  if (match === null) return null;
  const unit = match[2]!.toLowerCase();
  const factor = unit === '' ? 1 : Object.hasOwn(units, unit) ? units[unit]! : null;
  if (factor === null) return null;
  const value = Number(match[1]) * factor;
  return Number.isSafeInteger(value) ? value : null;
}

/** '10s', '500ms', '1.5m', '250' (ms): whole milliseconds, or null. */
export const parseDuration = (text: string): number | null => withUnit(text, DURATION_MS);

/** '64k', '16MiB', '4096': whole bytes, or null. Units are binary: 1k = 1024. */
export const parseSize = (text: string): number | null => withUnit(text, SIZE_BYTES);

function largest(value: number, units: readonly (readonly [string, number])[]): string {
  for (const [unit, factor] of units)
    if (value >= factor && value % factor === 0) return `${value / factor}${unit}`;
  return `${value}${units.at(-1)![0]}`;
}

export const formatDuration = (ms: number): string =>
  largest(ms, [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
    ['ms', 1],
  ]);

export const formatSize = (bytes: number): string =>
  bytes === 0
    ? '0'
    : largest(bytes, [
        ['GiB', KI ** 3],
        ['MiB', KI ** 2],
        ['KiB', KI],
        ['B', 1],
      ]);

import { readFileSync } from 'node:fs';

/** Names as native/engine/counters.hpp makes them of counters.def. */
export function nativeNames(): string[] {
  const source = readFileSync(new URL('../../native/engine/counters.def', import.meta.url), 'utf8');
  const names: string[] = [];
  for (const match of source.matchAll(/^(COUNTER|HISTOGRAM)\((\w+)(?:, (\d+))?\)/gm)) {
    if (match[1] === 'COUNTER') names.push(match[2]!);
    else {
      for (let i = 0; i <= Number(match[3]); i++) names.push(`${match[2]}_${i}`);
      names.push(`${match[2]}_sum`);
    }
  }
  return names;
}

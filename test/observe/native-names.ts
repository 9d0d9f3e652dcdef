import { readFileSync } from 'node:fs';

const PATHS = ['software', 'accelerator', 'nic', 'kernel'];

function definitions(name: string): string {
  return readFileSync(new URL(`../../native/engine/${name}`, import.meta.url), 'utf8');
}

/** Names as native/engine/counters.hpp makes them of counters.def. */
export function nativeNames(): string[] {
  const source = definitions('counters.def').replace(/^#include "engine\/(.+)"$/gm, (_, name) =>
    definitions(name),
  );
  const names: string[] = [];
  for (const match of source.matchAll(/^(COUNTER|HISTOGRAM|PATHED|REASON)\((\w+)(?:, (\d+))?/gm)) {
    if (match[1] === 'COUNTER') names.push(match[2]!);
    else if (match[1] === 'PATHED') names.push(...PATHS.map((path) => `${match[2]}_${path}`));
    else if (match[1] === 'REASON') names.push(`not_taken_${match[2]}`);
    else {
      for (let i = 0; i <= Number(match[3]); i++) names.push(`${match[2]}_${i}`);
      names.push(`${match[2]}_sum`);
    }
  }
  return names;
}

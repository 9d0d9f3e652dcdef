import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cryptodFamilies } from '../../src/observe/cryptod-families.ts';
import { CounterLayout, EngineCounters } from '../../src/observe/engine-counters.ts';
import { type Family, families, type Snapshot } from '../../src/observe/families.ts';
import { lentNicFamilies } from '../../src/observe/nic-families.ts';
import { optionTables } from '../../src/serve/option-help.ts';
import { optionKeys } from '../../src/serve/options.ts';
import { driverNamed } from '../observe/driver.ts';
import { nativeNames } from '../observe/native-names.ts';

const update = process.env.UPDATE_DOCS === '1';

/** The part of a document between two comments; with UPDATE_DOCS=1 it is written first. */
function section(file: string, name: string, made: string): string {
  const path = new URL(`../../docs/${file}`, import.meta.url);
  const pattern = new RegExp(`(<!-- ${name}: [^>]*-->\\n)([\\s\\S]*?)(<!-- end of ${name} -->)`);
  const text = readFileSync(path, 'utf8');
  if (update)
    writeFileSync(
      path,
      text.replace(pattern, (_, head, __, end) => `${head}\n${made}\n\n${end}`),
    );
  return pattern.exec(readFileSync(path, 'utf8'))?.[2]?.trim() ?? '';
}

function metricTable(): string {
  const names = nativeNames();
  const snapshot: Snapshot = {
    engines: new EngineCounters(new CounterLayout(names), [new Float64Array(names.length)]),
    handshakes: {
      full: 0,
      resumed: 0,
      notResumed: new Map([['…', 0]]),
      tickets: 0,
      failed: new Map([['…', 0]]),
      failedAfter: new Map([['…', 0]]),
      negotiated: new Map(['4865', '49195', '…'].map((cipher) => [`${cipher}\t…\t…`, 0])),
    },
    certificates: [{ serverName: '…', keyType: '…', notAfter: new Date(0) }],
    offload: { path: 'software', engine: '…', reason: '…' },
    drivers: [driverNamed('…')],
    nic: null,
    build: { version: '…', node: '…', tlsLibrary: '…' },
    reload: { successful: true, lastSuccess: new Date(0) },
    accessLog: { written: 0, dropped: 0, errors: 0 },
    redirects: new Map([
      [308, 0],
      [400, 0],
      [503, 0],
    ]),
  };
  return rowsOf(families, snapshot);
}

function rowsOf<S>(of: readonly Family<S>[], snapshot: S): string {
  const rows = of.map((family) => {
    const values = new Map<string, Set<string>>();
    for (const { labels, suffix } of family.samples(snapshot)) {
      if (suffix !== undefined) continue;
      for (const [label, value] of Object.entries(labels))
        values.set(label, (values.get(label) ?? new Set()).add(value));
    }
    const labels = [...values].map(([label, set]) =>
      `\`${label}\` (${[...set].join(', ')})`.replace(' (…)', ''),
    );
    return `| \`${family.name}\` | ${family.type} | ${labels.join('; ')} | ${family.help} |`;
  });
  return `| metric | type | labels | meaning |\n|---|---|---|---|\n${rows.join('\n')}`;
}

const cryptodTable = (): string =>
  rowsOf(
    cryptodFamilies.filter((family) => !(families as readonly unknown[]).includes(family)),
    { counters: {}, drivers: [driverNamed('…')], version: '…' },
  );

const lentNicTable = (): string =>
  rowsOf(
    lentNicFamilies.filter(({ name }) => !families.some((family) => family.name === name)),
    {
      version: '…',
      nic: { alive: true, flows: 0, retainedBytes: 0, counters: null },
      clients: 0,
      accepted: 0,
      refused: 0,
      violations: 0,
    },
  );

describe('the documentation', () => {
  it('names commands in the README that work on a fresh clone', () => {
    const root = new URL('../../', import.meta.url);
    const readme = readFileSync(new URL('README.md', root), 'utf8');
    const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
    const commands = [
      ...readme.matchAll(/^(?:\$ )?npm (?:run (?:--silent )?)?(serve|test)\b(?: -- (\S+))?/gm),
    ];
    expect(commands.map(([, name]) => name)).toEqual(['serve', 'test', 'serve']);
    for (const [, name, folder] of commands) {
      expect(scripts).toHaveProperty(name!);
      if (folder !== undefined) expect(existsSync(new URL(folder, root)), folder).toBe(true);
    }
    // npm passes a signal to its shell alone; a server behind the shell would outlive both.
    expect(scripts.serve).toMatch(/ && exec dist\/cli\/main\.js serve$/);
  });
  it('has every option as it is', () => {
    const text = section('serve.md', 'options', optionTables());
    expect(text).toBe(optionTables());
    for (const key of optionKeys) expect(text).toContain(`| \`${key}\` |`);
  });
  it('has every metric as it is', () => {
    expect(section('metrics.md', 'metrics', metricTable())).toBe(metricTable());
    expect(section('metrics.md', 'cryptod', cryptodTable())).toBe(cryptodTable());
    expect(section('metrics.md', 'lent', lentNicTable())).toBe(lentNicTable());
  });
});

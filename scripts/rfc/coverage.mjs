#!/usr/bin/env node
/**
 * Which requirements of the RFCs are cited where, and which nowhere.
 *
 *   node scripts/rfc/coverage.mjs --text DIR [--rfc 8446]… [--list] [--write docs/rfc-coverage.md]
 *
 * DIR holds the RFCs as rfcNNNN.txt (rfc-editor.org; Debian's doc-rfc packages). A requirement is cited when words of it
 * stand in quotes after `RFC NNNN SECTION:` in src/, native/ or nic/ (code) or in test/. One that says nothing about
 * this project stands in scripts/rfc/not-applicable.json with the reason. A quotation that is in no requirement and
 * nowhere else in its section is an error: it says something that the RFC does not.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { citationsIn } from './citations.mjs';
import { normalise, requirementsOf } from './requirements.mjs';

const ROOT = new URL('../..', import.meta.url).pathname;
const DEFAULT_RFCS = ['8446', '8449', '5246', '5746', '7627', '8422', '7301', '6066', '5280'];
const CODE = ['src', 'native', 'nic'];
const MIN_WORDS = 3;

const { values } = parseArgs({
  options: {
    text: { type: 'string' },
    rfc: { type: 'string', multiple: true },
    list: { type: 'boolean' },
    write: { type: 'string' },
  },
});
if (values.text === undefined) {
  console.error('expected --text DIR with the RFCs as rfcNNNN.txt in it; they are at rfc-editor.org');
  process.exit(2);
}
const exceptions = JSON.parse(readFileSync(join(ROOT, 'scripts/rfc/not-applicable.json'), 'utf8'));
const citations = [
  ...citationsIn(ROOT, CODE).map((citation) => ({ ...citation, where: 'code' })),
  ...citationsIn(ROOT, ['test']).map((citation) => ({ ...citation, where: 'test' })),
];

const rows = [];
let wrong = 0;
for (const rfc of values.rfc ?? DEFAULT_RFCS) {
  const path = join(values.text, `rfc${rfc}.txt`);
  if (!existsSync(path)) {
    console.error(`rfc${rfc}.txt: not in ${values.text}`);
    process.exit(2);
  }
  const text = readFileSync(path, 'utf8');
  const whole = normalise(text.replace(/\n.*\[Page \d+\]\n\f?\n?RFC \d+ .*\n/g, '\n'));
  const requirements = requirementsOf(text).map((requirement) => ({
    ...requirement,
    words: normalise(requirement.sentence),
    code: false,
    test: false,
    reason: undefined,
  }));
  for (const citation of citations.filter((one) => one.rfc === rfc)) {
    for (const quote of citation.quotes) {
      const words = normalise(quote).replace(/[.,;:]$/, '');
      if (words.split(' ').length < MIN_WORDS) continue;
      let found = false;
      for (const requirement of requirements) {
        if (!within(requirement.section, citation.section)) continue;
        if (!words.split(/ ?(?:…|\.\.\.) ?/).every((part) => requirement.words.includes(part))) continue;
        requirement[citation.where] = true;
        found = true;
      }
      if (found || words.split(/ ?(?:…|\.\.\.) ?/).every((part) => whole.includes(part))) continue;
      wrong++;
      console.error(`${citation.file}:${citation.line}: RFC ${rfc} ${citation.section} does not say "${quote}"`);
    }
  }
  for (const { section, words, reason } of exceptions.filter((one) => one.rfc === rfc)) {
    let used = false;
    for (const requirement of requirements) {
      if (section !== '' && !within(requirement.section, section)) continue;
      if (words !== undefined && !requirement.words.includes(normalise(words))) continue;
      used = true;
      requirement.reason ??= reason;
    }
    if (used) continue;
    wrong++;
    console.error(`not-applicable.json: RFC ${rfc} ${section} ${words ?? ''}: matches no requirement`);
  }
  const cited = requirements.filter(({ code, test }) => code || test);
  const excused = requirements.filter(({ code, test, reason }) => !(code || test) && reason !== undefined);
  const open = requirements.filter(({ code, test, reason }) => !(code || test) && reason === undefined);
  rows.push({
    rfc,
    all: requirements.length,
    code: requirements.filter(({ code }) => code).length,
    test: requirements.filter(({ test }) => test).length,
    cited: cited.length,
    excused: excused.length,
    open: open.length,
  });
  if (values.list) for (const { section, sentence } of open) console.log(`RFC ${rfc} ${section}: ${sentence}`);
}

const table = [
  '| RFC | requirements | cited in code | cited in tests | cited in either | not applicable | cited nowhere |',
  '|---|---|---|---|---|---|---|',
  ...rows.map((row) => `| ${row.rfc} | ${row.all} | ${row.code} | ${row.test} | ${row.cited} | ${row.excused} | ${row.open} |`),
].join('\n');
console.log(table);
if (values.write !== undefined) {
  const file = join(ROOT, values.write);
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace(/(<!-- rfc-coverage -->\n)[\s\S]*?(<!-- \/rfc-coverage -->)/, `$1${table}\n$2`));
}
process.exit(wrong === 0 ? 0 : 1);

/** `inner` is `outer` or lies in it. */
function within(inner, outer) {
  return inner === outer || inner.startsWith(`${outer}.`);
}

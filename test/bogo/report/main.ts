/**
 * Judges a run of BoGo from what it left in a folder, and makes the table of docs/conformance.md from the same numbers:
 *
 *     report.cjs [--write] FOLDER RUNNER   all tests; fails unless all is as it should be
 *     report.cjs --only FOLDER             some tests; counts them
 *
 * A test is out of scope when a pattern of config.json disables it, or when it needs a flag of out-of-scope.ts. Reasons
 * that begin with `deliberate:` are of tests in scope that we answer otherwise on purpose.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import config from '../config.json' with { type: 'json' };
import { OUT_OF_SCOPE } from '../shim/out-of-scope.ts';
import { globToRegExp } from './glob.ts';

const DOCUMENT = 'docs/conformance.md';
const DELIBERATE = 'deliberate: ';
/** Patterns that only a runner newer than Debian's has tests for. */
const NEWER = '(newer runners) ';

type Results = Readonly<Record<string, { readonly actual: string }>>;

const args = process.argv.slice(2);
const options = new Set(args.filter((argument) => argument.startsWith('--')));
const [folder = '', runner = ''] = args.filter((argument) => !argument.startsWith('--'));
const read = (name: string): Results => JSON.parse(readFileSync(join(folder, name), 'utf8')).tests;
const lines = (name: string): string[] =>
  readFileSync(join(folder, name), 'utf8').split('\n').filter(Boolean);

const results = Object.values(read('results.json'));
const count = (actual: string): number => results.filter((result) => result.actual === actual).length;
const passed = count('PASS');
const unimplemented = count('SKIP');
const failed = results.length - passed - unimplemented;
const problems: string[] = [];

if (!options.has('--only')) judge();
for (const problem of problems) console.error(`FAIL  ${problem}`);
const others = options.has('--only')
  ? `${unimplemented} not for us`
  : `${outOfScope()} out of scope, each with its reason`;
console.log(`bogo: ${passed} cases passed, ${failed + problems.length} failed, 0 skipped; ${others}`);
process.exit(failed + problems.length === 0 && passed > 0 ? 0 : 1);

function outOfScope(): number {
  return Object.keys(read('all.json')).length - passed - failed;
}

function judge(): void {
  const names = Object.keys(read('all.json'));
  const ran = new Set(Object.keys(read('results.json')));
  const byReason = new Map<string, number>();
  const add = (reason: string, tests: number): void => {
    byReason.set(reason, (byReason.get(reason) ?? 0) + tests);
  };

  const patterns = Object.entries(config.DisabledTests as Record<string, string>).map(([glob, reason]) => ({
    glob,
    reason: reason.replace(NEWER, ''),
    newer: reason.startsWith(NEWER),
    expression: globToRegExp(glob),
    matches: 0,
  }));
  for (const name of names) {
    const matching = patterns.filter(({ expression }) => expression.test(name));
    for (const pattern of matching) pattern.matches++;
    const [first] = matching;
    if (first !== undefined) add(first.reason, 1);
    if ((first === undefined) !== ran.has(name)) {
      problems.push(`${name} ${first === undefined ? 'did not run' : `ran in spite of ${first.glob}`}`);
    }
  }
  for (const { glob, matches, newer } of patterns) {
    if (matches === 0 && !newer)
      problems.push(`pattern ${glob} of config.json matches no test any more: remove it`);
  }

  const flags = lines('unimplemented');
  if (flags.length !== unimplemented) {
    problems.push(
      `${unimplemented} tests were answered "unimplemented", ${flags.length} flags were noted for them`,
    );
  }
  for (const flag of flags) {
    const reason = OUT_OF_SCOPE[flag];
    if (reason === undefined) problems.push(`flag -${flag} is neither implemented nor out of scope`);
    else add(reason, 1);
  }
  compare(table(names.length, byReason));
}

function table(total: number, byReason: ReadonlyMap<string, number>): string {
  const rows = [...byReason].sort(([a, x], [b, y]) => y - x || a.localeCompare(b));
  const deliberate = rows.filter(([reason]) => reason.startsWith(DELIBERATE));
  const outside = rows.filter(([reason]) => !reason.startsWith(DELIBERATE));
  const sum = (list: typeof rows): number => list.reduce((tests, [, n]) => tests + n, 0);
  const row = (what: string, tests: number): string => `| ${what} | ${tests} |`;
  return [
    `Runner: ${runner}.`,
    '',
    '| | tests |',
    '|---|---:|',
    row('in the runner', total),
    row('out of scope', sum(outside)),
    row('**in scope**', total - sum(outside)),
    row('passed', passed),
    row('failed', failed),
    row('in scope and not implemented', 0),
    row('in scope and answered otherwise on purpose', sum(deliberate)),
    '',
    ...(deliberate.length === 0
      ? []
      : [
          '| on purpose | tests |',
          '|---|---:|',
          ...deliberate.map(([reason, n]) => row(reason.slice(DELIBERATE.length), n)),
          '',
        ]),
    '| out of scope, because | tests |',
    '|---|---:|',
    ...outside.map(([reason, n]) => row(reason, n)),
  ].join('\n');
}

/** The table of one runner stands between two comments that name it. Another runner's table says nothing about this run. */
function compare(made: string): void {
  const begin = `<!-- bogo: ${runner} -->`;
  const end = '<!-- /bogo -->';
  const document = existsSync(DOCUMENT) ? readFileSync(DOCUMENT, 'utf8') : '';
  const at = document.indexOf(begin);
  const section = `${begin}\n${made}\n${end}`;
  if (at < 0) {
    if (options.has('--write')) writeFileSync(DOCUMENT, `${document.trimEnd()}\n\n${section}\n`);
    else console.log(`bogo: ${DOCUMENT} has no table of this runner; scripts/test-bogo.sh --write adds it`);
    return;
  }
  const until = document.indexOf(end, at) + end.length;
  if (document.slice(at, until) === section) return;
  if (options.has('--write'))
    writeFileSync(DOCUMENT, document.slice(0, at) + section + document.slice(until));
  else
    problems.push(`the table in ${DOCUMENT} is not what came out; scripts/test-bogo.sh --write makes it so`);
}

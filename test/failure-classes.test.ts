/** docs/failure-classes.md names tests that exist. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const CLASSES = [
  'Handshake bytes across a key change',
  'Zero-length records',
  'Bogus header',
  'Async lifetime',
  'Switch-over races',
  'Nonce reuse',
  'Floods',
  'Renegotiation',
  'State skipping',
  'Resumption identity',
  'Ticket keys',
  '0-RTT replay',
  'Truncation',
  'Length arithmetic',
  'Fragmented hello',
  'User callback throws',
  'Slow handshake',
  'Signature edge',
  'Key hygiene',
];

const rows = new Map(
  readFileSync('docs/failure-classes.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| ') && line.includes('`test/'))
    .map((line) => {
      const [, name, , , tests] = line.split('|').map((cell) => cell.trim());
      return [name!, [...tests!.matchAll(/`([^`]+)`/g)].map(([, path]) => path!)];
    }),
);

test('the table has every class', () => {
  expect([...rows.keys()]).toEqual(CLASSES);
});

/** Titles of tests and their groups, in TypeScript and in doctest. */
function titlesOf(source: string): string[] {
  const starts =
    /(?:\b(?:test|it|describe)(?:\.each\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))?|TEST_CASE)\(\s*(['"`])/g;
  return [...source.matchAll(starts)].map((match) =>
    source.slice(match.index + match[0].length, match.index + match[0].length + 200),
  );
}

test.each(CLASSES)('%s has a test of that name in each of its files', (name) => {
  const files = rows.get(name) ?? [];
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) {
    const titles = titlesOf(readFileSync(file, 'utf8'));
    expect(
      titles.some((title) => title.startsWith(name)),
      file,
    ).toBe(true);
  }
});

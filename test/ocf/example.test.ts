/** The drivers that docs/ocf.md shows are the ones that the tests run. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

it.each([
  ['cpp', 'test/native/ocf/example_driver.hpp'],
  ['ts', 'test/ocf/example-driver.ts'],
])('in %s', (language, path) => {
  const section = read('docs/ocf.md').split('\n## Write a driver\n')[1]!.split('\n## ')[0]!;
  const shown = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(section)?.[1];
  const run = /\/\/ <example>\n([\s\S]*?)\/\/ <\/example>/.exec(read(path))?.[1];
  expect(run?.length).toBeGreaterThan(500);
  expect(shown).toBe(run);
});

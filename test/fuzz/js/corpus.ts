import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of the inputs that the repository keeps for a target. */
export function corpusOf(target: string, root: string = process.cwd()): string[] {
  const folder = join(root, 'test/fuzz/corpus', `js-${target}`);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .map((file) => join(folder, file));
}

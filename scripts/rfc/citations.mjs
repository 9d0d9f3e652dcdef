/**
 * Citations in comments and test names: `RFC 8446 4.2.8: "Clients MUST NOT offer multiple …"`. What stands in quotes
 * after a section, up to the next one named, is quoted from there.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const SOURCE = /\.(?:ts|mjs|cc|hpp)$/;
const REFERENCE = /RFC (\d{4}),? (?:section |appendix )?((?:\d+|[A-F])(?:\.\d+)*)/g;
const QUOTED = /["“]([^"”]+(?:"[a-z_0-9]+"[^"”]*)*)["”]/g;

/** Gives { file, line, rfc, section, quotes } of every reference under `folders`. */
export function citationsIn(root, folders) {
  const citations = [];
  for (const folder of folders) {
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      if (!SOURCE.test(name) || name.includes('node_modules')) continue;
      const file = join(folder, name);
      for (const citation of citationsOf(readFileSync(join(root, file), 'utf8'))) citations.push({ file, ...citation });
    }
  }
  return citations;
}

export function citationsOf(text) {
  const citations = [];
  for (const { start, words } of blocksOf(text)) {
    const references = [...words.matchAll(REFERENCE)];
    for (const [i, reference] of references.entries()) {
      const scope = words.slice(reference.index + reference[0].length, references[i + 1]?.index);
      const quotes = [...scope.matchAll(QUOTED)].map((match) => match[1]);
      citations.push({ line: start, rfc: reference[1], section: reference[2], quotes });
    }
  }
  return citations;
}

/** Comments as running text, neighbouring lines joined; other lines that name an RFC, alone. */
function* blocksOf(text) {
  let start = 0;
  let words = [];
  const lines = text.split('\n');
  for (let i = 0; i <= lines.length; i++) {
    const line = lines[i] ?? '';
    const comment = /^\s*(?:\/\/\/?|\/\*\*?|\*\/?)\s?(.*?)(?:\*\/)?\s*$/.exec(line);
    if (comment !== null && i < lines.length) {
      if (words.length === 0) start = i + 1;
      words.push(comment[1]);
      continue;
    }
    if (words.length > 0) yield { start, words: words.join(' ') };
    words = [];
    if (/RFC \d{4}/.test(line)) yield { start: i + 1, words: line };
  }
}

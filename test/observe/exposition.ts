/** A small, strict parser of the text exposition format 0.0.4, for tests. */
export interface ParsedFamily {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: {
    readonly name: string;
    readonly labels: Record<string, string>;
    readonly value: number;
  }[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;

export function parseExposition(text: string): ParsedFamily[] {
  const families: ParsedFamily[] = [];
  let help: [string, string] | undefined;
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    if (comment !== null) {
      const [, kind, name, rest] = comment as unknown as [string, string, string, string];
      if (kind === 'HELP') help = [name, rest];
      else {
        if (help?.[0] !== name) throw new Error(`TYPE without HELP: ${line}`);
        if (families.some((family) => family.name === name)) throw new Error(`family twice: ${name}`);
        families.push({ name, help: help[1], type: rest, samples: [] });
      }
      continue;
    }
    if (line.startsWith('#')) throw new Error(`odd comment: ${line}`);
    families.at(-1)!.samples.push(parseSample(line));
  }
  return families;
}

function parseSample(line: string) {
  const name = NAME.exec(line)?.[0];
  if (name === undefined) throw new Error(`no name: ${line}`);
  let rest = line.slice(name.length);
  const labels: Record<string, string> = {};
  if (rest.startsWith('{')) {
    rest = rest.slice(1);
    while (!rest.startsWith('}')) {
      const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)",?/.exec(rest);
      if (label === null) throw new Error(`bad label: ${line}`);
      if (Object.hasOwn(labels, label[1]!)) throw new Error(`label twice: ${line}`);
      labels[label[1]!] = label[2]!.replaceAll(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
      rest = rest.slice(label[0].length);
    }
    rest = rest.slice(1);
  }
  const number = /^ (\S+)$/.exec(rest)?.[1];
  const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number);
  if (number === undefined || Number.isNaN(value)) throw new Error(`bad value: ${line}`);
  return { name, labels, value };
}

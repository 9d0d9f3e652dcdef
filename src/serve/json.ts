/**
 * JSON (RFC 8259) with the place of every value, so that a message about a config file can say where.
 * JSON.parse names a position only sometimes, and differently in every V8.
 */

export interface Place {
  /** Both from 1. */
  readonly line: number;
  readonly column: number;
}

export class JsonError extends Error {
  override readonly name = 'JsonError';
  readonly place: Place;

  constructor(message: string, place: Place) {
    super(message);
    this.place = place;
  }
}

export interface LocatedJson {
  readonly value: unknown;
  /** Where the member or element at `path` (keys and indexes) begins. */
  placeOf(path: readonly (string | number)[]): Place;
}

const MAX_DEPTH = 64;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

export function parseJson(text: string): LocatedJson {
  const places = new Map<string, number>();
  // A byte order mark is no JSON, but editors write it.
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0;

  const placeAt = (offset: number): Place => {
    const before = text.slice(0, offset);
    const line = before.split('\n').length;
    return { line, column: offset - before.lastIndexOf('\n') };
  };
  const fail = (message: string, offset = at): never => {
    throw new JsonError(message, placeAt(offset));
  };
  const found = (): string => {
    if (at >= text.length) return 'the file ends here';
    const word = /^[A-Za-z_$][\w$]*/.exec(text.slice(at, at + 32));
    return `found ${JSON.stringify(word?.[0] ?? text[at])}`;
  };
  const space = (): void => {
    while (at < text.length && ' \t\r\n'.includes(text[at]!)) at++;
    if (text.startsWith('//', at) || text.startsWith('/*', at)) fail('JSON has no comments; remove it');
  };

  function string(): string {
    const start = at;
    let out = '';
    at++;
    for (;;) {
      const char = text[at];
      if (char === undefined || char === '\n') return fail('this string is not closed with "', start);
      at++;
      if (char === '"') return out;
      if (char < ' ') fail('control characters in a string must be escaped', at - 1);
      if (char !== '\\') {
        out += char;
        continue;
      }
      const letter = text[at++] ?? '';
      if (letter === 'u') {
        const hex = text.slice(at, at + 4);
        if (!/^[0-9a-fA-F]{4}$/.test(hex)) fail('\\u wants four hexadecimal digits', at - 2);
        out += String.fromCharCode(Number.parseInt(hex, 16));
        at += 4;
      } else if (Object.hasOwn(ESCAPES, letter)) {
        out += ESCAPES[letter];
      } else {
        fail(`\\${letter} is no escape of JSON`, at - 2);
      }
    }
  }

  function object(path: readonly (string | number)[]): Record<string, unknown> {
    const out: Record<string, unknown> = {};
    at++;
    space();
    if (text[at] === '}') {
      at++;
      return out;
    }
    for (;;) {
      space();
      const start = at;
      if (text[at] === '}') fail('a comma before } is not allowed');
      if (text[at] !== '"') fail(`expected a key in double quotes, ${found()}`);
      const key = string();
      if (Object.hasOwn(out, key)) fail(`the key ${JSON.stringify(key)} is there twice`, start);
      places.set(JSON.stringify([...path, key]), start);
      space();
      if (text[at] !== ':') fail(`expected : after the key ${JSON.stringify(key)}, ${found()}`);
      at++;
      // Not an assignment: "__proto__" must become a key like any other.
      Object.defineProperty(out, key, {
        value: value([...path, key]),
        enumerable: true,
        configurable: true,
        writable: true,
      });
      space();
      if (text[at] === '}') {
        at++;
        return out;
      }
      if (text[at] !== ',') fail(`expected , or } after the value of ${JSON.stringify(key)}, ${found()}`);
      at++;
    }
  }

  function array(path: readonly (string | number)[]): unknown[] {
    const out: unknown[] = [];
    at++;
    space();
    if (text[at] === ']') {
      at++;
      return out;
    }
    for (;;) {
      space();
      if (text[at] === ']') fail('a comma before ] is not allowed');
      places.set(JSON.stringify([...path, out.length]), at);
      out.push(value([...path, out.length]));
      space();
      if (text[at] === ']') {
        at++;
        return out;
      }
      if (text[at] !== ',') fail(`expected , or ] in the list, ${found()}`);
      at++;
    }
  }

  function value(path: readonly (string | number)[]): unknown {
    space();
    if (path.length > MAX_DEPTH) fail(`nested deeper than ${MAX_DEPTH} levels`);
    const char = text[at];
    if (char === '{') return object(path);
    if (char === '[') return array(path);
    if (char === '"') return string();
    const word = /^(?:true|false|null)\b/.exec(text.slice(at, at + 6))?.[0];
    if (word !== undefined) {
      at += word.length;
      return word === 'null' ? null : word === 'true';
    }
    const number = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/.exec(text.slice(at, at + 400))?.[0];
    if (number !== undefined) {
      at += number.length;
      return Number(number);
    }
    return fail(`expected a value, ${found()}`);
  }

  const result = value([]);
  space();
  if (at < text.length) fail(`expected the end of the file, ${found()}`);
  return { value: result, placeOf: (path) => placeAt(places.get(JSON.stringify(path)) ?? 0) };
}

/**
 * What an option is: how its value is read (text from flags and environment, JSON from a config file or a
 * program), what is expected of it, and what is said about it. Kinds only; the options are in options.ts.
 */
import { formatDuration, formatSize, parseDuration, parseSize } from './units.ts';

export type Group = 'listen' | 'tls' | 'files' | 'limits' | 'nic' | 'observe';

export interface About<T> {
  readonly group: Group;
  /** One sentence, no full stop. */
  readonly help: string;
  readonly default: T | (() => T);
  /** Shown instead of the default's value. */
  readonly defaultText?: string;
  /** Takes effect on reload; otherwise only at the start. */
  readonly reload?: boolean;
}

export const INVALID: unique symbol = Symbol('invalid');

export interface Option<T> extends About<T> {
  /** What a value must be, as in "expects …". */
  readonly expected: string;
  /** What stands for the value in the help; '' for a switch. */
  readonly placeholder: string;
  /** A value that would do, as one writes it after the flag. */
  readonly example: string;
  /** The flag may be given more than once. */
  readonly repeatable: boolean;
  /** A flag without a value (`--listing`, `--no-listing`). */
  readonly isSwitch: boolean;
  /** Text (repeatable: a list of texts) or JSON to a value; INVALID when it is not as `expected`. */
  read(input: unknown): T | typeof INVALID;
  /** The default as the documentation shows it. */
  show(value: T): string;
}

type Rest<T> = Omit<Option<T>, keyof About<T> | 'repeatable' | 'isSwitch' | 'show'> &
  Partial<Pick<Option<T>, 'repeatable' | 'isSwitch' | 'show'>>;

const make = <T>(about: About<T>, rest: Rest<T>): Option<T> => ({
  repeatable: false,
  isSwitch: false,
  show: (value) => (value === null ? 'off' : String(value)),
  ...about,
  ...rest,
});

const isText = (input: unknown): input is string => typeof input === 'string';

function readInteger(input: unknown, parse: (text: string) => number | null, min: number, max: number) {
  const value = isText(input) ? parse(input) : input;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) return INVALID;
  return value;
}

const parseCount = (text: string): number | null => (/^\d{1,15}$/.test(text.trim()) ? Number(text) : null);

export interface Range {
  readonly min: number;
  readonly max: number;
}

export const count = (about: About<number> & Range): Option<number> =>
  make(about, {
    expected: `a whole number from ${about.min} to ${about.max}`,
    placeholder: 'N',
    example: String(Math.max(about.min, 1)),
    read: (input) => readInteger(input, parseCount, about.min, about.max),
  });

const PORT = { expected: 'a port number from 0 to 65535', placeholder: 'PORT', example: '8443' };

export const port = (about: About<number>): Option<number> =>
  make(about, { ...PORT, read: (input) => readInteger(input, parseCount, 0, 65535) });

/** A port, or null: off. */
export const optionalPort = (about: About<number | null>): Option<number | null> =>
  make(about, {
    ...PORT,
    expected: `${PORT.expected}, or off`,
    example: '9090',
    read: (input) =>
      input === null || input === false || input === 'off' ? null : readInteger(input, parseCount, 0, 65535),
  });

/** Milliseconds. */
export const duration = (about: About<number> & Range): Option<number> =>
  make(about, {
    expected: `a duration from ${formatDuration(about.min)} to ${formatDuration(about.max)} ('10s', '500ms', '2m', or a number of milliseconds)`,
    placeholder: 'TIME',
    example: '10s',
    read: (input) => readInteger(input, parseDuration, about.min, about.max),
    show: formatDuration,
  });

/** Bytes. */
export const size = (about: About<number> & Range): Option<number> =>
  make(about, {
    expected: `a size from ${formatSize(about.min)} to ${formatSize(about.max)} ('64k', '16MiB', or a number of bytes)`,
    placeholder: 'SIZE',
    example: '64k',
    read: (input) => readInteger(input, parseSize, about.min, about.max),
    show: formatSize,
  });

const TRUE = new Set(['true', 'yes', 'on', '1']);
const FALSE = new Set(['false', 'no', 'off', '0']);

export const toggle = (about: About<boolean>): Option<boolean> =>
  make(about, {
    expected: 'true or false',
    placeholder: '',
    example: 'true',
    isSwitch: true,
    read: (input) => {
      if (typeof input === 'boolean') return input;
      if (!isText(input)) return INVALID;
      const word = input.trim().toLowerCase();
      return TRUE.has(word) ? true : FALSE.has(word) ? false : INVALID;
    },
    show: (value) => (value ? 'on' : 'off'),
  });

export const choice = <const T extends string>(about: About<NoInfer<T>>, choices: readonly T[]): Option<T> =>
  make<T>(about as About<T>, {
    expected: `one of ${choices.join(', ')}`,
    placeholder: choices.join('|'),
    example: choices[0]!,
    read: (input) => choices.find((one) => one === input) ?? INVALID,
  });

export interface TextKind {
  readonly placeholder: string;
  readonly expected: string;
  readonly example: string;
  /** A regular expression, or what else can tell. */
  readonly pattern?: Pick<RegExp, 'test'>;
}

function readText(input: unknown, kind: TextKind): string | typeof INVALID {
  // A NUL would end a path early in every system call.
  if (!isText(input) || input === '' || input.includes('\0')) return INVALID;
  return kind.pattern === undefined || kind.pattern.test(input) ? input : INVALID;
}

export const text = (about: About<string>, kind: TextKind): Option<string> =>
  make(about, { ...kind, read: (input) => readText(input, kind) });

/** A text, or null: off. */
export const optionalText = (about: About<string | null>, kind: TextKind): Option<string | null> =>
  make(about, {
    ...kind,
    read: (input) => (input === null || input === false || input === 'off' ? null : readText(input, kind)),
  });

/**
 * A list. In a config file a JSON list, or one value alone; as a flag once per value; in the environment
 * separated by commas. 'none' alone is the empty list.
 */
export const list = <T extends string>(about: About<readonly T[]>, kind: TextKind): Option<readonly T[]> =>
  make(about, {
    ...kind,
    repeatable: true,
    read: (input) => {
      const given = Array.isArray(input) ? input : [input];
      if (given.length === 1 && (given[0] === 'none' || given[0] === '')) return [];
      const values = given.map((one) => readText(one, kind));
      return values.includes(INVALID) ? INVALID : (values as T[]);
    },
    show: (value) => (value.length === 0 ? 'none' : value.join(', ')),
  });

export interface MapKind {
  readonly placeholder: string;
  readonly expected: string;
  readonly example: string;
  /** Splits 'KEY=VALUE'; both sides are trimmed. */
  readonly separator: string;
  readonly key: RegExp;
  readonly value: RegExp;
}

/** Names with a text each. In a config file a JSON object; as a flag once per 'KEY=VALUE'. */
export const map = (
  about: About<Readonly<Record<string, string>>>,
  kind: MapKind,
): Option<Readonly<Record<string, string>>> =>
  make(about, {
    ...kind,
    repeatable: true,
    read: (input) => {
      const pairs: [string, unknown][] = [];
      if (isText(input) || Array.isArray(input)) {
        for (const one of Array.isArray(input) ? input : [input]) {
          if (!isText(one)) return INVALID;
          const split = one.indexOf(kind.separator);
          if (split < 1) return INVALID;
          pairs.push([one.slice(0, split).trim(), one.slice(split + kind.separator.length).trim()]);
        }
      } else if (typeof input === 'object' && input !== null) {
        pairs.push(...Object.entries(input));
      } else {
        return INVALID;
      }
      if (!pairs.every(([key, value]) => kind.key.test(key) && isText(value) && kind.value.test(value)))
        return INVALID;
      return Object.fromEntries(pairs) as Record<string, string>;
    },
    show: (value) => (Object.keys(value).length === 0 ? 'none' : JSON.stringify(value)),
  });

/** A value with a form of its own; `read` gets text or JSON. */
export const custom = <T>(
  about: About<T>,
  rest: Pick<Option<T>, 'expected' | 'placeholder' | 'example' | 'read'> &
    Partial<Pick<Option<T>, 'show' | 'repeatable'>>,
): Option<T> => make(about, rest);

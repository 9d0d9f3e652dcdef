/**
 * What the operator may say about paths, files and headers; checked once, at the start.
 */
import { SocryptError } from '../errors.ts';
import type { ContentCoding } from '../plane/entry.ts';
import { compileGlob } from './glob.ts';

export type CachePreset = 'default' | 'revalidate' | 'immutable' | 'no-store' | 'off';
export interface CacheRule {
  /** Glob over the served file's path; the first rule that matches counts. */
  readonly match: string;
  /** Value of Cache-Control; '' sends none. */
  readonly value: string;
}
export interface HeaderRule {
  /** Glob over the served file's path, or the request's where no file is served. */
  readonly match: string;
  readonly name: string;
  readonly value: string;
}

export interface HttpOptions {
  /** Names tried, in order, for a path that is a directory. Default: ['index.html']. */
  readonly index?: readonly string[];
  /** Lists a directory that has no index. Default: false. */
  readonly listing?: boolean;
  /** Serves about.html as /about and redirects /about.html to it. Default: false. */
  readonly cleanUrls?: boolean;
  /**
   * Directories: 'add' redirects /dir to /dir/, 'remove' redirects /dir/ to /dir, 'ignore' serves both.
   * Default: 'add'.
   */
  readonly trailingSlash?: 'add' | 'remove' | 'ignore';
  /** Names that begin with a dot; 'deny' is 404, except below /.well-known/ (RFC 8615). Default: 'deny'. */
  readonly dotfiles?: 'deny' | 'allow';
  /** Relative symbolic links that stay within the root, or none. A link out of the root is never followed. Default: 'inside'. */
  readonly symlinks?: 'inside' | 'deny';
  /**
   * Codings for which a neighbour (app.js.br, .zst, .gz) is sent in place of the file. A neighbour older than
   * its file, in whole seconds, is stale and left alone. Default: ['br', 'zstd', 'gzip'].
   */
  readonly precompressed?: readonly Exclude<ContentCoding, 'identity'>[];
  /**
   * Cache-Control. 'default': `public, max-age=31536000, immutable` for names with a fingerprint
   * (app.3f2a9c1b.js), `no-cache` (store, but ask) for the rest. 'revalidate': `no-cache` for all.
   * 'immutable': a year for all but HTML. 'no-store'. 'off': none. Or rules. Default: 'default'.
   */
  readonly cacheControl?: CachePreset | readonly CacheRule[];
  /** Fields added to every response on a matching path, in place of ours of the same name; the last rule wins. Default: []. */
  readonly headers?: readonly HeaderRule[];
  /** Cross-origin reads: nobody, everybody ('*'), or these origins. Default: false. */
  readonly cors?: false | '*' | readonly string[];
  /**
   * File below the root served for a path without a file, when its last segment has no dot or the client asks
   * for text/html by name. Default: false.
   */
  readonly spa?: false | string;
  /** Pages by status, paths below the root, at most 256 KiB each. A 404.html at the root needs no mention. Default: {}. */
  readonly errorPages?: Readonly<Record<string, string>>;
  /** Of text types; false sends none. Default: 'utf-8'. */
  readonly charset?: string | false;
  /** Media types by extension (without the dot), before the built-in table. Default: {}. */
  readonly mimeTypes?: Readonly<Record<string, string>>;
  /** Sends X-Content-Type-Options: nosniff. Default: true. */
  readonly nosniff?: boolean;
}

type Test = (path: string) => boolean;

/** Options as the rest of http/ uses them: complete, checked, compiled. */
export interface ResolvedHttpOptions {
  readonly index: readonly string[];
  readonly listing: boolean;
  readonly cleanUrls: boolean;
  readonly trailingSlash: 'add' | 'remove' | 'ignore';
  readonly dotfiles: 'deny' | 'allow';
  readonly symlinks: 'inside' | 'deny';
  readonly precompressed: readonly Exclude<ContentCoding, 'identity'>[];
  readonly cacheControl: CachePreset | readonly { readonly test: Test; readonly value: string }[];
  readonly headers: readonly { readonly test: Test; readonly name: string; readonly value: string }[];
  readonly cors: false | '*' | ReadonlySet<string>;
  readonly spa: string | undefined;
  readonly errorPages: ReadonlyMap<number, string>;
  readonly charset: string | undefined;
  readonly mimeTypes: ReadonlyMap<string, string>;
  readonly nosniff: boolean;
}

/** RFC 9110 5.6.2 token. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** RFC 9110 5.5 field-value, without obs-text; no CR, LF or NUL can pass. */
const FIELD_VALUE = /^(?:[!-~](?:[\t -~]*[!-~])?)?$/;
const MEDIA_TYPE =
  /^[!#$&^_.+a-z0-9-]+\/[!#$&^_.+a-z0-9-]+(?:; *[!#$&^_.+a-z0-9-]+=(?:[!#$&^_.+a-z0-9-]+|"[ -!#-[\]-~]*"))*$/i;
/** Fields whose value only the engine or the resolver can know. */
const RESERVED = new Set(
  (
    'accept-ranges connection content-encoding content-length content-range date etag keep-alive last-modified location ' +
    'proxy-connection te trailer transfer-encoding upgrade'
  ).split(' '),
);
const CODINGS = ['br', 'zstd', 'gzip'] as const;
const PRESETS = ['default', 'revalidate', 'immutable', 'no-store', 'off'] as const;
const KNOWN = new Set(
  (
    'index listing cleanUrls trailingSlash dotfiles symlinks precompressed cacheControl headers cors spa errorPages charset ' +
    'mimeTypes nosniff'
  ).split(' '),
);

/** Throws ERR_SOCRYPT_HTTP_OPTION with the option's name, what was expected and what came. */
export function resolveHttpOptions(options: HttpOptions = {}): ResolvedHttpOptions {
  for (const name of Object.keys(options)) {
    if (!KNOWN.has(name))
      throw new SocryptError(
        'ERR_SOCRYPT_HTTP_OPTION',
        `Unknown option ${quote(name)}; known: ${[...KNOWN].join(', ')}.`,
      );
  }
  const given = options as Readonly<Record<string, unknown>>;
  return {
    index: list(given, 'index', ['index.html'], 'a file name', isFileName),
    listing: flag(given, 'listing', false),
    cleanUrls: flag(given, 'cleanUrls', false),
    trailingSlash: oneOf(given, 'trailingSlash', ['add', 'remove', 'ignore'] as const, 'add'),
    dotfiles: oneOf(given, 'dotfiles', ['deny', 'allow'] as const, 'deny'),
    symlinks: oneOf(given, 'symlinks', ['inside', 'deny'] as const, 'inside'),
    precompressed: list(
      given,
      'precompressed',
      CODINGS,
      'one of br, zstd, gzip',
      (v): v is (typeof CODINGS)[number] => CODINGS.includes(v as never),
    ),
    cacheControl: cacheControl(given.cacheControl),
    headers: headerRules(given.headers),
    cors: cors(given.cors),
    spa: spa(given.spa),
    errorPages: errorPages(given.errorPages),
    charset: charset(given.charset),
    mimeTypes: mimeTypes(given.mimeTypes),
    nosniff: flag(given, 'nosniff', true),
  };
}

function quote(value: unknown): string {
  const text = typeof value === 'string' || typeof value === 'object' ? JSON.stringify(value) : String(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

function wrong(name: string, expected: string, came: unknown): SocryptError {
  return new SocryptError('ERR_SOCRYPT_HTTP_OPTION', `Expected ${expected} for ${name}, got ${quote(came)}.`);
}

function flag(given: Readonly<Record<string, unknown>>, name: string, otherwise: boolean): boolean {
  const value = given[name] ?? otherwise;
  if (typeof value !== 'boolean') throw wrong(name, 'true or false', value);
  return value;
}

function oneOf<T extends string>(
  given: Readonly<Record<string, unknown>>,
  name: string,
  values: readonly T[],
  otherwise: T,
): T {
  const value = given[name] ?? otherwise;
  if (!values.includes(value as T)) throw wrong(name, `one of ${values.join(', ')}`, value);
  return value as T;
}

function list<T>(
  given: Readonly<Record<string, unknown>>,
  name: string,
  otherwise: readonly T[],
  expected: string,
  test: (value: unknown) => value is T,
): readonly T[] {
  const value = given[name] ?? otherwise;
  if (!Array.isArray(value)) throw wrong(name, 'a list', value);
  for (const item of value) if (!test(item)) throw wrong(name, expected, item);
  return [...new Set(value as T[])];
}

function isFileName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value !== '.' && value !== '..' && !/[/\0]/.test(value);
}

/** A path below the root as it is written in options: "/404.html" and "404.html" are the same. */
function pathBelow(name: string, value: unknown): string {
  const path = typeof value === 'string' ? value.replace(/^\/+/, '') : '';
  if (path === '' || !path.split('/').every(isFileName))
    throw wrong(name, 'a path below the root, such as "404.html"', value);
  return path;
}

function rules<T>(name: string, value: unknown, read: (rule: Readonly<Record<string, unknown>>) => T): T[] {
  if (!Array.isArray(value)) throw wrong(name, 'a list of rules', value);
  return value.map((rule: unknown) => {
    if (typeof rule !== 'object' || rule === null) throw wrong(name, 'a rule with "match"', rule);
    return read(rule as Readonly<Record<string, unknown>>);
  });
}

function glob(name: string, value: unknown): Test {
  if (typeof value !== 'string') throw wrong(`${name}.match`, 'a glob', value);
  return compileGlob(value);
}

function fieldValue(name: string, value: unknown): string {
  if (typeof value !== 'string' || !FIELD_VALUE.test(value)) {
    throw wrong(name, 'a field value of printable ASCII without line breaks (RFC 9110, 5.5)', value);
  }
  return value;
}

function cacheControl(value: unknown = 'default'): ResolvedHttpOptions['cacheControl'] {
  if (PRESETS.includes(value as CachePreset)) return value as CachePreset;
  if (!Array.isArray(value))
    throw wrong('cacheControl', `one of ${PRESETS.join(', ')}, or a list of rules`, value);
  return rules('cacheControl', value, (rule) => ({
    test: glob('cacheControl', rule.match),
    value: fieldValue('cacheControl.value', rule.value),
  }));
}

function headerRules(value: unknown = []): ResolvedHttpOptions['headers'] {
  return rules('headers', value, (rule) => {
    const name = rule.name;
    if (typeof name !== 'string' || !TOKEN.test(name))
      throw wrong('headers.name', 'a field name (RFC 9110, 5.1)', name);
    if (RESERVED.has(name.toLowerCase()))
      throw wrong('headers.name', 'a field that the server does not set by itself', name);
    return {
      test: glob('headers', rule.match),
      name,
      value: fieldValue(`headers.value of ${name}`, rule.value),
    };
  });
}

function cors(value: unknown = false): ResolvedHttpOptions['cors'] {
  if (value === false || value === '*') return value;
  if (!Array.isArray(value)) throw wrong('cors', 'false, "*" or a list of origins', value);
  for (const origin of value) {
    // The serialisation that browsers send: scheme, host, port unless default, no path.
    let parsed: string | undefined;
    try {
      const url = new URL(origin as string);
      parsed = url.origin === 'null' ? `${url.protocol}//${url.host}` : url.origin;
    } catch {}
    if (typeof origin !== 'string' || parsed !== origin)
      throw wrong('cors', 'an origin such as "https://example.org"', origin);
  }
  return new Set(value as string[]);
}

function spa(value: unknown = false): string | undefined {
  return value === false ? undefined : pathBelow('spa', value);
}

function errorPages(value: unknown = {}): ReadonlyMap<number, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong('errorPages', 'pages by status', value);
  return new Map(
    Object.entries(value).map(([status, path]) => {
      if (!/^[45]\d\d$/.test(status)) throw wrong('errorPages', 'a status from 400 to 599', status);
      return [Number(status), pathBelow(`errorPages.${status}`, path)];
    }),
  );
}

function charset(value: unknown = 'utf-8'): string | undefined {
  if (value === false) return undefined;
  if (typeof value !== 'string' || !TOKEN.test(value))
    throw wrong('charset', 'a character set such as "utf-8", or false', value);
  return value;
}

function mimeTypes(value: unknown = {}): ReadonlyMap<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong('mimeTypes', 'media types by extension', value);
  return new Map(
    Object.entries(value).map(([extension, type]) => {
      if (!/^[^./\0]+$/.test(extension)) throw wrong('mimeTypes', 'an extension without its dot', extension);
      if (typeof type !== 'string' || !MEDIA_TYPE.test(type))
        throw wrong(`mimeTypes.${extension}`, 'a media type', type);
      return [extension.toLowerCase(), type];
    }),
  );
}

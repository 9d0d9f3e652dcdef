/** The field lines of responses. */
import type { ContentCoding, FileIdentity } from '../plane/entry.ts';
import { contentType } from './mime.ts';
import type { ResolvedHttpOptions } from './options.ts';
import { baseName } from './path.ts';

export const EXTENSION_OF_CODING = { br: '.br', zstd: '.zst', gzip: '.gz' } as const;

/** A fingerprint that a build tool put into a name: 8 or more hex digits, of both kinds, so that neither a word nor a date is one. */
const FINGERPRINT = /[._-](?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,64}\./;
const HTML = /\.x?html?$/i;
const YEAR = 'public, max-age=31536000, immutable';
/** What a script on another origin may read beyond the CORS-safelisted fields. */
const EXPOSED = 'Accept-Ranges, Content-Encoding, Content-Range, ETag';

/** What of a request the answer may depend on besides its path: the engine's cache key is (path, origin). */
export interface HeaderContext {
  /** Path for the globs of `headers` and `cacheControl`, with its leading slash. */
  readonly path: string;
  readonly origin: string | undefined;
}

/** Field lines by lower-case name, in order of first mention. */
class Fields {
  readonly #lines = new Map<string, string>();

  set(name: string, value: string): void {
    this.#lines.set(name.toLowerCase(), `${name}: ${value}\r\n`);
  }

  vary(on: string): void {
    const before = this.#lines.get('vary')?.slice('Vary: '.length, -2);
    if (before === '*' || before?.toLowerCase().split(/, */).includes(on.toLowerCase())) return;
    this.set('Vary', before === undefined || before === '' ? on : `${before}, ${on}`);
  }

  /** Without fields that describe a body, for a 304 (RFC 9110, 15.4.5). */
  withoutContent(): string {
    let lines = '';
    for (const [name, line] of this.#lines)
      if (!name.startsWith('content-') || name === 'content-location') lines += line;
    return lines;
  }

  toString(): string {
    let lines = '';
    for (const line of this.#lines.values()) lines += line;
    return lines;
  }
}

export class Headers {
  readonly #options: ResolvedHttpOptions;

  constructor(options: ResolvedHttpOptions) {
    this.#options = options;
  }

  /** Fields of a file's representations. `vary`: fields that chose among them. */
  file(name: string, type: string, coding: ContentCoding, vary: readonly string[], context: HeaderContext) {
    const fields = new Fields();
    fields.set('Content-Type', type);
    if (coding !== 'identity') fields.set('Content-Encoding', coding);
    const cacheControl = this.cacheControl(name);
    if (cacheControl !== '') fields.set('Cache-Control', cacheControl);
    this.#common(fields, vary, context);
    return { headers: fields.toString(), headersNotModified: fields.withoutContent() };
  }

  /** Fields of anything made here. `type` undefined: no body. `location`, when given, is the last line. */
  made(
    parts: {
      type?: string;
      cacheControl: string;
      extra?: readonly (readonly [string, string])[];
      vary?: readonly string[];
      location?: string;
    },
    context: HeaderContext,
  ): string {
    const fields = new Fields();
    if (parts.type !== undefined) fields.set('Content-Type', parts.type);
    if (this.#options.cacheControl !== 'off') fields.set('Cache-Control', parts.cacheControl);
    this.#common(fields, parts.vary ?? [], context);
    for (const [name, value] of parts.extra ?? []) fields.set(name, value);
    const lines = fields.toString();
    return parts.location === undefined ? lines : `${lines}Location: ${parts.location}\r\n`;
  }

  contentType(name: string): string {
    return contentType(name, this.#options);
  }

  cacheControl(name: string): string {
    const policy = this.#options.cacheControl;
    switch (policy) {
      case 'off':
        return '';
      case 'no-store':
        return 'no-store';
      case 'revalidate':
        return 'no-cache';
      case 'immutable':
        return HTML.test(name) ? 'no-cache' : YEAR;
      case 'default':
        return !HTML.test(name) && FINGERPRINT.test(baseName(name)) ? YEAR : 'no-cache';
      default:
        return policy.find((rule) => rule.test(`/${name}`))?.value ?? '';
    }
  }

  #common(fields: Fields, vary: readonly string[], context: HeaderContext): void {
    const { cors, nosniff, headers } = this.#options;
    if (nosniff) fields.set('X-Content-Type-Options', 'nosniff');
    if (cors === '*') {
      fields.set('Access-Control-Allow-Origin', '*');
      fields.set('Access-Control-Expose-Headers', EXPOSED);
    } else if (cors !== false && context.origin !== undefined && cors.has(context.origin)) {
      // Only a value from the operator's own list is ever echoed.
      fields.set('Access-Control-Allow-Origin', context.origin);
      fields.set('Access-Control-Expose-Headers', EXPOSED);
    }
    for (const rule of headers) if (rule.test(context.path)) fields.set(rule.name, rule.value);
    for (const name of vary) fields.vary(name);
    // Also without a matching Origin: a shared cache must not hand this answer to one (Fetch, CORS and caches).
    if (typeof cors === 'object') fields.vary('Origin');
  }
}

const SUFFIX: Readonly<Record<ContentCoding, string>> = {
  identity: '',
  br: '-br',
  zstd: '-zst',
  gzip: '-gz',
};
const NS = 1_000_000_000n;

/**
 * Strong: nanoseconds and size; two writes within one clock tick of the file system are told apart by size
 * only, as with every server that does not read the file. An mtime of 0 or 1 s, which reproducible builds
 * set on everything, says nothing; then inode and ctime stand in and there is no Last-Modified.
 */
export function validators(
  identity: FileIdentity,
  coding: ContentCoding,
): { etag: string; lastModified: number } {
  const hex = (value: bigint) => value.toString(16);
  if (identity.mtimeNs < 2n * NS) {
    const tag = `${hex(identity.size)}-${hex(identity.ino)}-${hex(identity.ctimeNs)}`;
    return { etag: `"${tag}${SUFFIX[coding]}"`, lastModified: -1 };
  }
  const seconds = Number(identity.mtimeNs / NS);
  return {
    etag: `"${hex(identity.mtimeNs)}-${hex(identity.size)}${SUFFIX[coding]}"`,
    // RFC 9110, 8.8.2.1: never later than the response's own date.
    lastModified: seconds * 1000 > Date.now() ? -1 : seconds,
  };
}

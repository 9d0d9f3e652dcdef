/** What a path means: the answer of the control plane to a request that the engine cannot answer by itself. */
import type {
  FileVariant,
  FixedResolution,
  RequestHandler,
  RequestHead,
  Resolution,
  SegmentsResolution,
} from '../plane/entry.ts';
import { prefersJson, quality } from './accept.ts';
import { evaluateConditions, formatHttpDate } from './conditions.ts';
import { ErrorPages } from './error-pages.ts';
import { type HeaderContext, Headers, validators } from './headers.ts';
import { listingJson, listingPage, MAX_LISTED, sortEntries } from './listing.ts';
import { type FoundFile, Lookup } from './lookup.ts';
import type { ResolvedHttpOptions } from './options.ts';
import { PAGE_POLICY, PAGE_TYPE, statusPage } from './pages.ts';
import { baseName, encodePath, isHidden, join, parsePath } from './path.ts';
import { asksForSeveral, contentRange, multipart, parseRanges } from './ranges.ts';
import type { ServedRoot } from './root.ts';

const ALLOW = 'GET, HEAD, OPTIONS';
const EMPTY = new Uint8Array(0);
const FIELD_NAMES = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*$/;
const HTML_FILE = /[^/.][^/]*\.html$/;

/** One GET on its way to an answer. */
interface Task {
  readonly request: RequestHead;
  readonly lookup: Lookup;
  readonly origin: string | undefined;
  /** Decoded path of the request, for the globs. */
  readonly path: string;
}

export interface StaticHandlerOptions {
  /** Told about what should not have happened, which the client sees as a 500. */
  readonly onError?: (error: unknown) => void;
}

export class StaticHandler implements RequestHandler {
  readonly #root: ServedRoot;
  readonly #options: ResolvedHttpOptions;
  readonly #headers: Headers;
  readonly #pages: ErrorPages;
  readonly #onError: (error: unknown) => void;
  /** Listings in the making, so that many requests for a large directory cost one. */
  readonly #listings = new Map<string, Promise<Uint8Array>>();

  constructor(
    root: ServedRoot,
    options: ResolvedHttpOptions,
    { onError = () => {} }: StaticHandlerOptions = {},
  ) {
    this.#root = root;
    this.#options = options;
    this.#headers = new Headers(options);
    this.#pages = new ErrorPages(options);
    this.#onError = onError;
  }

  /** Reads the operator's error pages, so that errorPage() has them; call before serving and when the root changed. */
  async prepare(): Promise<void> {
    for (const status of this.#pages.statuses) await this.#with((lookup) => this.#pages.find(status, lookup));
  }

  /** True when answers differ by Origin: EngineOptions.keyByOrigin. */
  get keyByOrigin(): boolean {
    return typeof this.#options.cors === 'object';
  }

  async resolve(request: RequestHead): Promise<Resolution> {
    const origin = request.headers.get('origin');
    try {
      if (request.method === 'OPTIONS') return this.#preflight(request, origin);
      return await this.#with((lookup) => {
        const parsed = parsePath(request.path);
        const task: Task = {
          request,
          lookup,
          origin,
          path: parsed.kind === 'path' ? `/${parsed.name}` : '/',
        };
        if (request.method !== 'GET' && request.method !== 'HEAD') return this.#notAllowed(task);
        if (parsed.kind === 'refused') return this.#error(task, parsed.status);
        if (this.#options.dotfiles === 'deny' && isHidden(parsed.name)) return this.#error(task, 404);
        return parsed.slash ? this.#slash(task, parsed.name) : this.#plain(task, parsed.name);
      });
    } catch (error) {
      this.#onError(error);
      return this.#fixed(500, statusPage(500), this.#statusHeaders(500, undefined, { path: '/', origin }));
    }
  }

  errorPage(status: number): { headers: string; body: Uint8Array } {
    const { body, name } = this.#pages.last(status);
    return { headers: this.#statusHeaders(status, name, { path: '/', origin: undefined }), body };
  }

  async #with<T>(work: (lookup: Lookup) => Promise<T>): Promise<T> {
    const lease = this.#root.acquire();
    const lookup = new Lookup(lease.fd, this.#options);
    try {
      return await work(lookup);
    } finally {
      lookup.close();
      lease.release();
    }
  }

  /** "/name": the file, its .html, the directory; in this order. */
  async #plain(task: Task, name: string): Promise<Resolution> {
    const { lookup } = task;
    const { cleanUrls, trailingSlash } = this.#options;
    const found = await lookup.file(name);
    if (found.kind === 'failed') return this.#error(task, found.status);
    if (found.kind === 'file') {
      const clean = cleanUrls && HTML_FILE.test(name) ? await this.#cleanPath(task, name) : undefined;
      return clean === undefined ? this.#file(task, found) : this.#redirect(task, clean);
    }
    if (cleanUrls) {
      const html = await lookup.file(`${name}.html`);
      if (html.kind === 'failed') return this.#error(task, html.status);
      if (html.kind === 'file') return this.#file(task, html);
    }
    if (found.kind === 'absent') return this.#fallback(task, name);
    if (trailingSlash === 'add') return this.#redirect(task, encodePath(name, true));
    return (await this.#directory(task, name, false)) ?? this.#fallback(task, name);
  }

  /** "/name/": the directory. */
  async #slash(task: Task, name: string): Promise<Resolution> {
    const { lookup } = task;
    const { cleanUrls, trailingSlash } = this.#options;
    if (trailingSlash === 'remove' && name !== '' && (await lookup.kind(name)) === 'directory') {
      return this.#redirect(task, encodePath(name, false));
    }
    const answer = await this.#directory(task, name, true);
    if (answer !== undefined) return answer;
    if (cleanUrls && name !== '') {
      const html = await lookup.kind(`${name}.html`);
      if (html === 'file' && (await lookup.kind(name)) !== 'file')
        return this.#redirect(task, encodePath(name, false));
    }
    return this.#fallback(task, name);
  }

  /** Index or listing; undefined when there is neither. */
  async #directory(task: Task, name: string, slash: boolean): Promise<Resolution | undefined> {
    const { lookup } = task;
    for (const index of this.#options.index) {
      const found = await lookup.file(join(name, index));
      if (found.kind === 'failed') return this.#error(task, found.status);
      if (found.kind === 'file') return this.#file(task, found);
    }
    if (!this.#options.listing || (name !== '' && (await lookup.kind(name)) !== 'directory'))
      return undefined;
    return this.#list(task, name, slash);
  }

  /** Where a .html file is at home when URLs are clean; undefined: under its own name, since another file has the clean one. */
  async #cleanPath(task: Task, name: string): Promise<string | undefined> {
    const { lookup } = task;
    const { index, trailingSlash } = this.#options;
    const base = name.slice(0, -'.html'.length);
    const last = baseName(name);
    const directory = name.slice(0, Math.max(0, name.length - last.length - 1));
    if (index.includes(last)) {
      let first = true;
      for (const other of index.slice(0, index.indexOf(last))) {
        if ((await lookup.kind(join(directory, other))) !== 'absent') first = false;
      }
      const slash = directory === '' || trailingSlash !== 'remove';
      if (first && (slash || (await lookup.kind(`${directory}.html`)) === 'absent'))
        return encodePath(directory, slash);
      return undefined;
    }
    const kind = await lookup.kind(base);
    return kind === 'absent' || kind === 'directory' ? encodePath(base, false) : undefined;
  }

  /** Nothing has this name: the single-page application's page, or 404. */
  async #fallback(task: Task, name: string): Promise<Resolution> {
    const { spa } = this.#options;
    if (spa === undefined) return this.#error(task, 404);
    const dotted = baseName(name).includes('.');
    // A missing /app.js must not be answered with a page, but /users/j.doe typed into a browser must. That
    // hangs on Accept, which is not part of the engine's cache key.
    if (dotted) task.lookup.cacheable = false;
    const vary = dotted ? ['Accept'] : [];
    if (dotted && quality(task.request.headers.get('accept'), 'text/html', true) === 0)
      return this.#error(task, 404, { vary });
    const found = await task.lookup.file(spa);
    if (found.kind === 'file') return this.#file(task, found, vary);
    return this.#error(task, found.kind === 'failed' ? found.status : 404, { vary });
  }

  #file(task: Task, found: FoundFile, varyToo: readonly string[] = []): Resolution | Promise<Resolution> {
    const { lookup, request, origin } = task;
    const type = this.#headers.contentType(found.name);
    const vary = found.neighbours.length > 0 ? ['Accept-Encoding', ...varyToo] : varyToo;
    const context: HeaderContext = { path: `/${found.name}`, origin };
    const variants: FileVariant[] = [];
    for (const { coding, file } of [{ coding: 'identity' as const, file: found.file }, ...found.neighbours]) {
      variants.push({
        coding,
        fd: file.fd,
        identity: file,
        ...validators(file, coding),
        ...this.#headers.file(found.name, type, coding, vary, context),
      });
    }
    const range = request.method === 'GET' ? request.headers.get('range') : undefined;
    if (asksForSeveral(range)) return this.#several(task, found, variants[0]!, type, range);
    lookup.take(found.file);
    for (const { file } of found.neighbours) lookup.take(file);
    return {
      kind: 'file',
      status: 200,
      variants,
      dependencies: lookup.dependencies,
      cacheable: lookup.cacheable,
    };
  }

  /**
   * A request for several ranges of the file as it is (not of a coded neighbour). Answered here to the end,
   * 304, 412 and 416 included: the engine, given a file, would find several ranges again and ask again.
   */
  async #several(
    task: Task,
    found: FoundFile,
    variant: FileVariant,
    type: string,
    field: string,
  ): Promise<Resolution> {
    const { lookup } = task;
    lookup.cacheable = false;
    const size = Number(found.file.size);
    const condition = evaluateConditions(task.request.headers, variant);
    if (condition === 412) return this.#error(task, 412);
    const date = variant.lastModified < 0 ? '' : `Last-Modified: ${formatHttpDate(variant.lastModified)}\r\n`;
    const fields = `ETag: ${variant.etag}\r\n${date}`;
    if (condition === 304) return this.#fixed(304, EMPTY, `${variant.headersNotModified}${fields}`);
    const ranges = condition === 'whole' ? 'ignore' : parseRanges(field, size);
    if (ranges === 'unsatisfiable')
      return this.#error(task, 416, { extra: [['Content-Range', `bytes */${size}`]] });

    let { headers } = variant;
    let segments: SegmentsResolution['segments'];
    if (ranges === 'ignore') segments = size === 0 ? [] : [{ offset: 0, length: size }];
    else if (ranges.length === 1) {
      // Joined into one. A multipart answer with one part is allowed; more clients understand this.
      segments = ranges;
      headers += `Content-Range: ${contentRange(ranges[0]!, size)}\r\n`;
    } else {
      const parts = multipart(ranges, size, type);
      segments = parts.segments;
      headers = headers.replace(/^Content-Type: .*\r\n/im, `Content-Type: ${parts.type}\r\n`);
    }
    headers += `Accept-Ranges: bytes\r\n${fields}`;
    const status = ranges === 'ignore' ? 200 : 206;
    return {
      kind: 'segments',
      status,
      headers,
      fd: lookup.take(found.file),
      identity: variant.identity,
      segments,
    };
  }

  async #list(task: Task, name: string, slash: boolean): Promise<Resolution> {
    const { lookup, request, origin, path } = task;
    const json = prefersJson(request.headers.get('accept'));
    const key = `${json ? 'json' : 'html'} ${slash} /${name}`;
    let body: Uint8Array;
    // By Accept, and by what no dependency says.
    lookup.cacheable = false;
    try {
      let making = this.#listings.get(key);
      if (making === undefined) {
        making = this.#makeListing(lookup, name, slash, json).finally(() => this.#listings.delete(key));
        this.#listings.set(key, making);
      }
      body = await making;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return this.#error(task, 404);
      if (code === 'EACCES') return this.#error(task, 403);
      return this.#error(task, code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM' ? 503 : 500);
    }
    const headers = this.#headers.made(
      {
        type: json ? 'application/json; charset=utf-8' : PAGE_TYPE,
        cacheControl: 'no-cache',
        extra: json ? [] : [['Content-Security-Policy', PAGE_POLICY]],
        vary: ['Accept'],
      },
      { path, origin },
    );
    return { ...this.#fixed(200, body, headers), dependencies: lookup.dependencies };
  }

  async #makeListing(lookup: Lookup, name: string, slash: boolean, json: boolean): Promise<Uint8Array> {
    const { dotfiles, trailingSlash } = this.#options;
    const all = await lookup.list(name, MAX_LISTED + 1);
    const seen =
      dotfiles === 'allow'
        ? all
        : all.filter((entry) => !isHidden(name === '' ? entry.name : `x/${entry.name}`));
    const listing = {
      name,
      slash,
      directorySlash: trailingSlash !== 'remove',
      entries: sortEntries(seen).slice(0, MAX_LISTED),
      truncated: all.length > MAX_LISTED,
    };
    return json ? listingJson(listing) : listingPage(listing);
  }

  #redirect(task: Task, location: string): Resolution {
    const { lookup, path, origin } = task;
    // Without a word on caching, browsers may keep a 308 for good.
    const headers = this.#headers.made({ cacheControl: 'no-cache', location }, { path, origin });
    return {
      kind: 'fixed',
      status: 308,
      headers,
      body: EMPTY,
      appendQuery: true,
      dependencies: lookup.dependencies,
      cacheable: lookup.cacheable,
    };
  }

  async #error(
    task: Task,
    status: number,
    more: { vary?: readonly string[]; extra?: readonly (readonly [string, string])[] } = {},
  ): Promise<Resolution> {
    const { lookup, path, origin } = task;
    const { body, name } = await this.#pages.find(status, lookup);
    return {
      kind: 'fixed',
      status,
      headers: this.#statusHeaders(status, name, { path, origin }, more),
      body,
      dependencies: lookup.dependencies,
      cacheable: lookup.cacheable && status < 500,
    };
  }

  /** `name`: the operator's page, whose type its name tells and whose content is none of our business. */
  #statusHeaders(
    status: number,
    name: string | undefined,
    context: HeaderContext,
    more: { vary?: readonly string[]; extra?: readonly (readonly [string, string])[] } = {},
  ): string {
    const extra = [...(more.extra ?? [])];
    if (name === undefined) extra.push(['Content-Security-Policy', PAGE_POLICY]);
    if (status === 503) extra.push(['Retry-After', '1']);
    return this.#headers.made(
      {
        type: name === undefined ? PAGE_TYPE : this.#headers.contentType(name),
        cacheControl: status >= 500 ? 'no-store' : 'no-cache',
        extra,
        ...(more.vary === undefined ? {} : { vary: more.vary }),
      },
      context,
    );
  }

  /** The answer hangs on the method, which is not part of the engine's cache key. */
  #notAllowed(task: Task): Promise<Resolution> {
    task.lookup.cacheable = false;
    return this.#error(task, 405, { extra: [['Allow', ALLOW]] });
  }

  /** OPTIONS: RFC 9110, 9.3.7; with CORS fields when it is a preflight (Fetch, CORS-preflight). */
  #preflight(request: RequestHead, origin: string | undefined): Resolution {
    const extra: [string, string][] = [['Allow', ALLOW]];
    const vary: string[] = [];
    const { cors } = this.#options;
    if (cors !== false && request.headers.has('access-control-request-method')) {
      vary.push('Access-Control-Request-Method', 'Access-Control-Request-Headers');
      if (cors === '*' || (origin !== undefined && cors.has(origin))) {
        extra.push(['Access-Control-Allow-Methods', ALLOW], ['Access-Control-Max-Age', '86400']);
        const wanted = request.headers.get('access-control-request-headers')?.trim();
        if (wanted !== undefined && FIELD_NAMES.test(wanted))
          extra.push(['Access-Control-Allow-Headers', wanted]);
      }
    }
    const parsed = parsePath(request.path === '*' ? '/' : request.path);
    if (parsed.kind === 'refused' && parsed.status === 400) {
      return this.#fixed(400, statusPage(400), this.#statusHeaders(400, undefined, { path: '/', origin }));
    }
    const path = parsed.kind === 'path' ? `/${parsed.name}` : '/';
    return this.#fixed(
      204,
      EMPTY,
      this.#headers.made({ cacheControl: 'no-cache', extra, vary }, { path, origin }),
    );
  }

  #fixed(status: number, body: Uint8Array, headers: string): FixedResolution {
    return { kind: 'fixed', status, headers, body, dependencies: [], cacheable: false };
  }
}

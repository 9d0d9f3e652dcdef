/** Temporary trees and readable answers, for the tests of http/. */
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { StaticHandler } from '../../src/http/handler.ts';
import { type HttpOptions, resolveHttpOptions } from '../../src/http/options.ts';
import { ServedRoot } from '../../src/http/root.ts';
import type { Dependency, RequestHead, Resolution } from '../../src/plane/entry.ts';

/** Content; `-> target` makes a symbolic link; a name ending in "/" an empty directory. */
export type Tree = Readonly<Record<string, string | Uint8Array>>;

export const MTIME = 1_700_000_000;

export function plant(directory: string, tree: Tree): void {
  for (const [name, content] of Object.entries(tree)) {
    const path = join(directory, name);
    if (name.endsWith('/')) {
      mkdirSync(path, { recursive: true });
      continue;
    }
    mkdirSync(dirname(path), { recursive: true });
    if (typeof content === 'string' && content.startsWith('-> ')) symlinkSync(content.slice(3), path);
    else {
      writeFileSync(path, content);
      utimesSync(path, MTIME, MTIME);
    }
  }
}

export interface Site {
  readonly directory: string;
  readonly root: ServedRoot;
  readonly handler: StaticHandler;
  readonly errors: unknown[];
  get(target: string, headers?: Readonly<Record<string, string>>, method?: string): Promise<Answer>;
  close(): void;
}

export function site(tree: Tree, options: HttpOptions = {}): Site {
  const directory = mkdtempSync(join(tmpdir(), 'socrypt-http-'));
  plant(directory, tree);
  const root = new ServedRoot(directory);
  const errors: unknown[] = [];
  const handler = new StaticHandler(root, resolveHttpOptions(options), {
    onError: (error) => errors.push(error),
  });
  return {
    directory,
    root,
    handler,
    errors,
    get: async (target, headers, method) => read(await handler.resolve(request(target, headers, method))),
    close: () => {
      root.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export function request(
  target: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
): RequestHead {
  const at = target.indexOf('?');
  return {
    method,
    target,
    path: at < 0 ? target : target.slice(0, at),
    query: at < 0 ? '' : target.slice(at),
    headers: new Map(Object.entries(headers)),
  };
}

/** A resolution with its content read and its descriptors closed. */
export interface Answer {
  readonly kind: Resolution['kind'];
  readonly status: number;
  readonly headers: string;
  readonly text: string;
  readonly location: string | undefined;
  readonly cacheable: boolean;
  readonly dependencies: readonly Dependency[];
  /** Content and fields by coding; file resolutions only. */
  readonly variants: Readonly<
    Record<string, { text: string; etag: string; lastModified: number; headers: string; notModified: string }>
  >;
  field(name: string): string | undefined;
}

export function contentOf(fd: number, offset = 0, length = Number.POSITIVE_INFINITY): Buffer {
  const parts: Buffer[] = [];
  for (let left = length; left > 0; ) {
    const part = Buffer.alloc(Math.min(left, 65536));
    const got = readSync(fd, part, 0, part.length, offset);
    if (got === 0) break;
    parts.push(part.subarray(0, got));
    offset += got;
    left -= got;
  }
  return Buffer.concat(parts);
}

export function fieldOf(headers: string, name: string): string | undefined {
  const line = headers.split('\r\n').find((each) => each.toLowerCase().startsWith(`${name.toLowerCase()}: `));
  return line?.slice(name.length + 2);
}

export function read(resolution: Resolution): Answer {
  const variants: Record<
    string,
    { text: string; etag: string; lastModified: number; headers: string; notModified: string }
  > = {};
  let headers = '';
  let text = '';
  if (resolution.kind === 'file') {
    for (const {
      coding,
      fd,
      etag,
      lastModified,
      headers: lines,
      headersNotModified,
    } of resolution.variants) {
      variants[coding] = {
        text: contentOf(fd).toString(),
        etag,
        lastModified,
        headers: lines,
        notModified: headersNotModified,
      };
      closeSync(fd);
    }
    headers = resolution.variants[0]!.headers;
    text = variants.identity!.text;
  } else if (resolution.kind === 'fixed') {
    headers = resolution.headers;
    text = Buffer.from(resolution.body).toString();
  } else {
    headers = resolution.headers;
    for (const segment of resolution.segments) {
      text +=
        segment instanceof Uint8Array
          ? Buffer.from(segment).toString()
          : contentOf(resolution.fd, segment.offset, segment.length);
    }
    closeSync(resolution.fd);
  }
  return {
    kind: resolution.kind,
    status: resolution.status,
    headers,
    text,
    location: fieldOf(headers, 'location'),
    cacheable: resolution.kind === 'segments' ? false : resolution.cacheable,
    dependencies: resolution.kind === 'segments' ? [] : resolution.dependencies,
    variants,
    field: (name) => fieldOf(headers, name),
  };
}

export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

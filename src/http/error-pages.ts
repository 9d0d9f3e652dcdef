import { native } from '../native.ts';
import type { FileIdentity } from '../plane/entry.ts';
import type { Lookup } from './lookup.ts';
import type { ResolvedHttpOptions } from './options.ts';
import { statusPage } from './pages.ts';

/** A page is held in memory, once; larger ones are not used. */
export const MAX_PAGE_BYTES = 256 * 1024;

export interface StatusBody {
  readonly body: Uint8Array;
  /** Name below the root of the operator's own page. */
  readonly name: string | undefined;
}

/** Bodies by status: the operator's page when there is one, else ours. */
export class ErrorPages {
  readonly #names: ReadonlyMap<number, string>;
  readonly #read = new Map<string, { identity: FileIdentity; body: Uint8Array }>();

  constructor(options: ResolvedHttpOptions) {
    this.#names = new Map([[404, '404.html'], ...options.errorPages]);
  }

  get statuses(): Iterable<number> {
    return this.#names.keys();
  }

  /** Looks the page up, with its facts written into `lookup`; read again only when it changed. */
  async find(status: number, lookup: Lookup): Promise<StatusBody> {
    const name = this.#names.get(status);
    if (name === undefined) return { body: statusPage(status), name };
    const file = await lookup.single(name);
    if (file === undefined || file.size > MAX_PAGE_BYTES) {
      this.#read.delete(name);
      return { body: statusPage(status), name: undefined };
    }
    const before = this.#read.get(name);
    if (before !== undefined && same(before.identity, file)) return { body: before.body, name };
    try {
      const body = await native.files.read(file.fd, MAX_PAGE_BYTES);
      this.#read.set(name, { identity: file, body });
      return { body, name };
    } catch {
      lookup.cacheable = false;
      return { body: statusPage(status), name: undefined };
    }
  }

  /** As last found; for answers that cannot wait. */
  last(status: number): StatusBody {
    const name = this.#names.get(status);
    const read = name === undefined ? undefined : this.#read.get(name);
    return read === undefined ? { body: statusPage(status), name: undefined } : { body: read.body, name };
  }
}

export function same(a: FileIdentity, b: FileIdentity): boolean {
  return (
    a.mtimeNs === b.mtimeNs &&
    a.ctimeNs === b.ctimeNs &&
    a.size === b.size &&
    a.ino === b.ino &&
    a.dev === b.dev
  );
}

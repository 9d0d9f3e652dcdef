/**
 * Looks names up below the root for one request, and writes down every fact it saw: what is not written
 * down here cannot be noticed when it changes.
 */
import { type FileFacts, native, type OpenedFile } from '../native.ts';
import type { ContentCoding, Dependency } from '../plane/entry.ts';
import { EXTENSION_OF_CODING } from './headers.ts';
import type { ResolvedHttpOptions } from './options.ts';
import { extensionOf } from './path.ts';

/** A regular file, open, with the neighbours that may be sent in its place. */
export interface FoundFile {
  readonly kind: 'file';
  readonly name: string;
  readonly file: OpenedFile;
  readonly neighbours: readonly {
    readonly coding: Exclude<ContentCoding, 'identity'>;
    readonly file: OpenedFile;
  }[];
}
export type Found =
  | FoundFile
  | { readonly kind: 'directory' }
  /** Nothing that is ever served: missing, out of the root, a FIFO, … */
  | { readonly kind: 'absent' }
  | { readonly kind: 'failed'; readonly status: 403 | 500 | 503 };

const ABSENT: Found = { kind: 'absent' };
const DIRECTORY: Found = { kind: 'directory' };
/** As meansAbsent() in native/engine/beneath.cc: for these the engine finds "nothing there" again. */
const ABSENT_CODES = new Set(['ENOENT', 'ENOTDIR', 'EXDEV', 'ELOOP', 'ENAMETOOLONG']);
const BUSY_CODES = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);
const COMPRESSED = new Set(['br', 'zst', 'gz']);
const NS = 1_000_000_000n;

export class Lookup {
  readonly #root: number;
  readonly #options: ResolvedHttpOptions;
  readonly #refuseLinks: boolean;
  readonly #open = new Set<number>();
  readonly dependencies: Dependency[] = [];
  /** False once something was seen that a dependency cannot express. */
  cacheable = true;

  constructor(root: number, options: ResolvedHttpOptions) {
    this.#root = root;
    this.#options = options;
    this.#refuseLinks = options.symlinks === 'deny';
  }

  /** Opens a file together with its precompressed neighbours, in one job. */
  async file(name: string): Promise<Found> {
    const codings = COMPRESSED.has(extensionOf(name)) ? [] : this.#options.precompressed;
    const results = await this.#openAll([
      name,
      ...codings.map((coding) => name + EXTENSION_OF_CODING[coding]),
    ]);
    const found = this.#classify(name, results[0]!);
    if (found.kind !== 'file') {
      // What lies beside something that is no file decided nothing.
      for (const result of results) if (typeof result === 'object') this.#close(result);
      return found;
    }
    const neighbours: { coding: Exclude<ContentCoding, 'identity'>; file: OpenedFile }[] = [];
    for (const [at, coding] of codings.entries()) {
      const result = results[at + 1]!;
      this.#note(name + EXTENSION_OF_CODING[coding], result);
      if (typeof result === 'string' || result.type !== 'file') continue;
      // Whole seconds: tools that keep times keep them to the second, and a checkout writes both in one.
      if (result.mtimeNs / NS >= found.file.mtimeNs / NS) neighbours.push({ coding, file: result });
      else this.#close(result);
    }
    return { ...found, neighbours };
  }

  /** What is under this name, without its neighbours and without keeping it open. */
  async kind(name: string): Promise<Found['kind']> {
    const [result] = await this.#openAll([name]);
    const found = this.#classify(name, result!);
    if (typeof result === 'object') this.#close(result);
    return found.kind;
  }

  /** One file without neighbours, for its content. */
  async single(name: string): Promise<OpenedFile | undefined> {
    const [result] = await this.#openAll([name]);
    const found = this.#classify(name, result!);
    return found.kind === 'file' ? found.file : undefined;
  }

  /** Throws an error with a `code`. No fact is written down: sizes and dates change without the directory. */
  list(name: string, limit: number) {
    return native.files.list(this.#root, name, limit, this.#refuseLinks);
  }

  /** Hands the descriptor out of this lookup's care. */
  take(file: OpenedFile): number {
    this.#open.delete(file.fd);
    return file.fd;
  }

  /** Closes whatever was opened and not taken. */
  close(): void {
    for (const fd of this.#open) native.files.close(fd);
    this.#open.clear();
  }

  async #openAll(names: readonly string[]): Promise<(OpenedFile | string)[]> {
    if (this.#refuseLinks) await this.#noteParents(names[0]!);
    const results = (await native.files.openBeneath(this.#root, names, false, this.#refuseLinks)) as (
      | OpenedFile
      | string
    )[];
    for (const result of results) if (typeof result === 'object' && result.fd >= 0) this.#open.add(result.fd);
    return results;
  }

  /**
   * A directory that is replaced by a link to itself under another name leaves the file's identity as it
   * was, but links are refused; the directories on the way are facts then. Seen before the file, so that
   * a change in between is noticed.
   */
  async #noteParents(name: string): Promise<void> {
    const parents: string[] = [];
    for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) parents.push(name.slice(0, at));
    if (parents.length === 0) return;
    const results = await native.files.statBeneath(this.#root, parents);
    for (const [at, result] of results.entries()) this.#note(parents[at]!, result);
  }

  #classify(name: string, result: OpenedFile | string): Found {
    this.#note(name, result);
    if (typeof result === 'object') {
      if (result.type === 'file') return { kind: 'file', name, file: result, neighbours: [] };
      return result.type === 'directory' ? DIRECTORY : ABSENT;
    }
    if (ABSENT_CODES.has(result)) return ABSENT;
    if (result === 'EACCES' || result === 'EPERM') return { kind: 'failed', status: 403 };
    if (BUSY_CODES.has(result)) return { kind: 'failed', status: 503 };
    // A socket (ENXIO) or a device without a driver is no file.
    return result === 'ENXIO' || result === 'ENODEV' ? ABSENT : { kind: 'failed', status: 500 };
  }

  #note(path: string, result: FileFacts | string): void {
    if (typeof result === 'object') this.dependencies.push({ path, identity: result });
    // Where links are refused, ELOOP may hide a file that the engine, which follows them, will find.
    else if (ABSENT_CODES.has(result) && !(this.#refuseLinks && result === 'ELOOP'))
      this.dependencies.push({ path, identity: null });
    else this.cacheable = false;
  }

  #close(file: OpenedFile): void {
    if (this.#open.delete(file.fd)) native.files.close(file.fd);
  }
}

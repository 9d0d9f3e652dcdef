import { EventEmitter } from 'node:events';
import { fstatSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { SocryptError } from '../errors.ts';
import { native } from '../native.ts';

/** An open root for the time of one use; the descriptor stays open until every use is over. */
export interface RootLease {
  readonly fd: number;
  release(): void;
}

export interface ServedRootEvents {
  /** The path names another directory now (deploy by link switch, re-created root), which is served from here on. */
  changed: [];
  /** The path names no directory that can be opened; what was open is still served. Said once. */
  vanished: [reason: string];
  /** The path is back after `vanished`; preceded by `changed` when it is another directory. */
  recovered: [];
}

interface OpenRoot {
  readonly fd: number;
  readonly dev: bigint;
  readonly ino: bigint;
  uses: number;
  retired: boolean;
}

const REASONS: Readonly<Record<string, readonly [code: `ERR_SOCRYPT_${string}`, why: string]>> = {
  ENOENT: ['ERR_SOCRYPT_ROOT_MISSING', 'nothing is there; check the path, or create it'],
  ENOTDIR: [
    'ERR_SOCRYPT_ROOT_NOT_DIRECTORY',
    'it is not a directory; give the directory that holds the files',
  ],
  EACCES: [
    'ERR_SOCRYPT_ROOT_UNREADABLE',
    'permission is denied; this user must be able to read and enter it',
  ],
  ENOSYS: ['ERR_SOCRYPT_ROOT_OPENAT2', 'this kernel has no openat2; Linux 5.6 or newer is needed'],
  EPERM: [
    'ERR_SOCRYPT_ROOT_OPENAT2',
    'openat2 is forbidden here, by an old seccomp profile most likely; update the container runtime',
  ],
};

function open(path: string): OpenRoot {
  let fd: number;
  try {
    fd = native.files.openRoot(path);
  } catch (error) {
    const [code, why] = REASONS[(error as NodeJS.ErrnoException).code ?? ''] ?? [
      'ERR_SOCRYPT_ROOT',
      (error as Error).message,
    ];
    // Where a relative path starts is the first thing to know (npm, for one, changes the directory).
    const whole = resolve(path);
    const shown = whole === path ? `'${path}'` : `'${path}' (${whole})`;
    throw new SocryptError(code, `Expected a directory to serve at ${shown}, but ${why}.`, { cause: error });
  }
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return { fd, dev, ino, uses: 0, retired: false };
}

/**
 * The directory that is served. Its descriptor is held, so that a rename elsewhere changes nothing, and the
 * path is compared with it once a second, so that a deploy that replaces the directory is noticed.
 */
export class ServedRoot extends EventEmitter<ServedRootEvents> {
  readonly path: string;
  #root: OpenRoot;
  #timer: NodeJS.Timeout;
  #checking: Promise<void> | undefined;
  #vanished = false;
  #closed = false;

  /** Throws ERR_SOCRYPT_ROOT_MISSING, _NOT_DIRECTORY, _UNREADABLE or _OPENAT2. */
  constructor(path: string, checkEveryMs = 1000) {
    super();
    this.path = path;
    this.#root = open(path);
    this.#timer = setInterval(() => void this.check(), checkEveryMs);
    this.#timer.unref();
  }

  get vanished(): boolean {
    return this.#vanished;
  }

  acquire(): RootLease {
    if (this.#closed) throw new SocryptError('ERR_SOCRYPT_ROOT_CLOSED', `The root '${this.path}' is closed.`);
    const root = this.#root;
    root.uses++;
    let released = false;
    return {
      fd: root.fd,
      release: () => {
        if (released) return;
        released = true;
        root.uses--;
        closeIfDone(root);
      },
    };
  }

  /** A descriptor of the present root whose ownership passes to the caller (an engine, at start and on 'changed'). */
  duplicate(): number {
    return native.files.duplicate(this.#root.fd);
  }

  /** Compares the path with the open directory now; what the timer does. Never rejects. */
  check(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.#root.retired = true;
    closeIfDone(this.#root);
  }

  async #check(): Promise<void> {
    let next: OpenRoot | undefined;
    let reason: string | undefined;
    try {
      const now = await stat(this.path, { bigint: true });
      if (this.#closed) return;
      if (now.dev !== this.#root.dev || now.ino !== this.#root.ino) next = open(this.path);
    } catch (error) {
      reason = (error as Error).message;
    }
    if (this.#closed) return;
    const vanished = this.#vanished;
    this.#vanished = reason !== undefined;
    if (next !== undefined) {
      const before = this.#root;
      this.#root = next;
      before.retired = true;
      closeIfDone(before);
      this.emit('changed');
    }
    if (reason !== undefined && !vanished) this.emit('vanished', reason);
    if (reason === undefined && vanished) this.emit('recovered');
  }
}

function closeIfDone(root: OpenRoot): void {
  if (root.retired && root.uses === 0) native.files.close(root.fd);
}

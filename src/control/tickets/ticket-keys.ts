/** Where a process has its ticket keys from: its own, that rotate; a file; or the program that it is part of. */
import { statSync } from 'node:fs';
import { SocryptError } from '../../errors.ts';
import { checkTicketSecrets, readTicketKeyFile } from './key-file.ts';
import { RotatingSecrets } from './rotating-secrets.ts';
import { type TicketSecrets, wipeSecrets } from './ticket-sealer.ts';

/** Asked at the start, at a reload, and about once a minute. */
export type TicketKeyCallback = () => TicketSecrets | Promise<TicketSecrets>;

export interface TicketKeyOptions {
  randomBytes(length: number): Uint8Array;
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Seconds that a ticket lives: the period of keys of our own. */
  readonly lifetime: number;
  readonly source: { readonly file: string } | { readonly callback: TicketKeyCallback } | null;
  /** The secrets are others now. */
  changed(secrets: TicketSecrets): void;
  /** Given keys could not be read; the ones before stay in use. */
  failed(error: unknown): void;
  /** How long a callback may take, ms. Default: 10 seconds. */
  readonly answerWithin?: number;
}

const ASK_AGAIN_MS = 60_000;
const ANSWER_WITHIN_MS = 10_000;

export class TicketKeys {
  readonly #options: TicketKeyOptions;
  readonly #own: RotatingSecrets | undefined;
  #secrets: TicketSecrets;
  /** Of the file as it was read. */
  #fileVersion = '';
  #askAt = 0;
  #asking = false;
  /** Of the readings, and the one whose outcome is in use: an older one that ends later is of no use. */
  #lastReading = 0;
  #readingInUse = 0;

  private constructor(options: TicketKeyOptions, own: RotatingSecrets | undefined, secrets: TicketSecrets) {
    this.#options = options;
    this.#own = own;
    this.#secrets = secrets;
    this.#askAt = options.now() + ASK_AGAIN_MS;
    if (options.source !== null && 'file' in options.source)
      this.#fileVersion = versionOf(options.source.file);
  }

  /** Throws ERR_SOCRYPT_TICKET_KEYS, and what reading a file throws. */
  static async open(options: TicketKeyOptions): Promise<TicketKeys> {
    if (options.source === null) {
      const { randomBytes, now, lifetime } = options;
      const own = new RotatingSecrets({ randomBytes, now, period: 1000 * lifetime });
      return new TicketKeys(options, own, own.secrets);
    }
    return new TicketKeys(options, undefined, await read(options.source, options.answerWithin));
  }

  get secrets(): TicketSecrets {
    return this.#secrets;
  }

  /** Call it every second or so. */
  tick(): void {
    const { source, now } = this.#options;
    if (this.#own !== undefined) {
      if (this.#own.tick()) this.#take(this.#own.secrets);
      return;
    }
    if (source === null || this.#asking) return;
    if ('file' in source ? versionOf(source.file) === this.#fileVersion : now() < this.#askAt) return;
    this.#refresh().catch((error) => this.#options.failed(error));
  }

  /**
   * Reads them, and changes nothing: what it resolves to puts them into use, and cannot fail. Rejects when there are no good
   * ones to be had.
   */
  async prepare(): Promise<() => void> {
    const { source, now, answerWithin } = this.#options;
    if (source === null) return () => {};
    const reading = ++this.#lastReading;
    // Before it is read: a file that changes meanwhile is read again.
    const version = 'file' in source ? versionOf(source.file) : '';
    const askAt = now() + ASK_AGAIN_MS;
    const secrets = await read(source, answerWithin, false);
    return () => {
      if (reading < this.#readingInUse) return wipeSecrets(secrets);
      this.#readingInUse = reading;
      this.#fileVersion = version;
      this.#askAt = askAt;
      if (isSame(secrets, this.#secrets)) return wipeSecrets(secrets);
      const before = this.#secrets;
      this.#take(secrets);
      wipeSecrets(before);
    };
  }

  /** Once nobody asks for `secrets` any more. */
  wipe(): void {
    wipeSecrets(this.#secrets);
  }

  async #refresh(): Promise<void> {
    const { source, now } = this.#options;
    this.#asking = true;
    // A file that is bad is said to be so once, and not every second.
    if (source !== null && 'file' in source) this.#fileVersion = versionOf(source.file);
    this.#askAt = now() + ASK_AGAIN_MS;
    try {
      (await this.prepare())();
    } finally {
      this.#asking = false;
    }
  }

  #take(secrets: TicketSecrets): void {
    this.#secrets = secrets;
    this.#options.changed(secrets);
  }
}

/** Copies, which are the caller's. */
async function read(
  source: NonNullable<TicketKeyOptions['source']>,
  answerWithin = ANSWER_WITHIN_MS,
  keepsAlive = true,
): Promise<TicketSecrets> {
  if ('file' in source) return readTicketKeyFile(source.file);
  const given = checkTicketSecrets(await ask(source.callback, answerWithin, keepsAlive), CALLBACK);
  return {
    current: Uint8Array.from(given.current),
    next: given.next.map((secret) => Uint8Array.from(secret)),
    previous: given.previous.map((secret) => Uint8Array.from(secret)),
  };
}

const CALLBACK = 'ticketKeyCallback';

/**
 * What the program's function gives. Rejects with ERR_SOCRYPT_TICKET_KEYS when it fails or does not answer in time.
 * `keepsAlive`: the process does not end while it waits, as at the start, where nothing else keeps it.
 */
function ask(callback: TicketKeyCallback, answerWithin: number, keepsAlive: boolean): Promise<TicketSecrets> {
  const failed = (came: string, cause?: unknown): SocryptError =>
    new SocryptError('ERR_SOCRYPT_TICKET_KEYS', `${CALLBACK}: expected ticket keys, but ${came}.`, { cause });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(failed(`it did not answer within ${answerWithin} ms; settle its promise in time`)),
      answerWithin,
    );
    if (!keepsAlive) timer.unref();
    // In a promise: what throws at once is one that rejects.
    new Promise<TicketSecrets>((given) => given(callback()))
      .then(resolve, (error) =>
        reject(
          failed(
            `it failed: ${error instanceof Error ? error.message : 'it rejected without an Error'}`,
            error,
          ),
        ),
      )
      .finally(() => clearTimeout(timer));
  });
}

/** Changes when the file does; '' when there is none, which reading says better. */
function versionOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? '' : `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
}

function isSame(a: TicketSecrets, b: TicketSecrets): boolean {
  const bytes = ({ current, next, previous }: TicketSecrets) =>
    Buffer.concat([current, Buffer.of(next.length), ...next, ...previous]);
  return bytes(a).equals(bytes(b));
}

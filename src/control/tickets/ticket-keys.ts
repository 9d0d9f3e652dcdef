/** Where a process has its ticket keys from: its own, that rotate; a file; or the program that it is part of. */
import { statSync } from 'node:fs';
import { checkTicketSecrets, readTicketKeyFile } from './key-file.ts';
import { RotatingSecrets } from './rotating-secrets.ts';
import type { TicketSecrets } from './ticket-sealer.ts';

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
}

const ASK_AGAIN_MS = 60_000;

export class TicketKeys {
  readonly #options: TicketKeyOptions;
  readonly #own: RotatingSecrets | undefined;
  #secrets: TicketSecrets;
  /** Of the file as it was read. */
  #fileVersion = '';
  #askAt = 0;
  #asking = false;

  private constructor(options: TicketKeyOptions, own: RotatingSecrets | undefined, secrets: TicketSecrets) {
    this.#options = options;
    this.#own = own;
    this.#secrets = secrets;
    this.#askAt = options.now() + ASK_AGAIN_MS;
    if (options.source !== null && 'file' in options.source)
      this.#fileVersion = versionOf(options.source.file);
  }

  /** Throws ERR_SOCRYPT_TICKET_KEYS, what reading a file throws, and what the callback does. */
  static async open(options: TicketKeyOptions): Promise<TicketKeys> {
    if (options.source === null) {
      const { randomBytes, now, lifetime } = options;
      const own = new RotatingSecrets({ randomBytes, now, period: 1000 * lifetime });
      return new TicketKeys(options, own, own.secrets);
    }
    return new TicketKeys(options, undefined, await read(options.source));
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
    this.reload().catch((error) => this.#options.failed(error));
  }

  /** Rejects, with the ones before in use, when there are no good ones to be had. */
  async reload(): Promise<void> {
    const { source, now } = this.#options;
    if (source === null || this.#asking) return;
    this.#asking = true;
    this.#askAt = now() + ASK_AGAIN_MS;
    // Before it is read: a file that changes meanwhile is read again.
    if ('file' in source) this.#fileVersion = versionOf(source.file);
    try {
      const secrets = await read(source);
      if (!isSame(secrets, this.#secrets)) this.#take(secrets);
    } finally {
      this.#asking = false;
    }
  }

  #take(secrets: TicketSecrets): void {
    this.#secrets = secrets;
    this.#options.changed(secrets);
  }
}

async function read(source: NonNullable<TicketKeyOptions['source']>): Promise<TicketSecrets> {
  if ('file' in source) return readTicketKeyFile(source.file);
  return checkTicketSecrets(await source.callback(), 'ticketKeys (callback)');
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

/** The file of the real stage: it has the canary in it, may change, and knows what each place of it has been. */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { Random } from './random.ts';

export const CANARY = 'plaintext-canary';
export const FILE_BYTES = 3_000_000;
/** What is told apart of one transfer; each is a copy. */
const MOST_VERSIONS = 40;

export class ServedFile {
  readonly #descriptor: number;
  readonly #random: Random;
  #length = FILE_BYTES;
  #generation = 0;
  /** What it has been since begin(); the last is what it is. */
  #versions: Buffer[];
  changes = 0;

  constructor(path: string, random: Random) {
    this.#random = random;
    this.#versions = [this.#content()];
    this.#descriptor = openSync(path, 'w+');
    writeSync(this.#descriptor, this.#now);
  }

  get #now(): Buffer {
    return this.#versions.at(-1)!;
  }

  /** The canary, and numbers that tell places and generations apart. */
  #content(): Buffer {
    const lines: string[] = [];
    const generation = this.#generation++;
    for (let n = 0, length = 0; length < FILE_BYTES; n++) {
      const line = `${CANARY} ${generation % 10} ${n}\n`;
      lines.push(line);
      length += line.length;
    }
    return Buffer.from(lines.join('')).subarray(0, FILE_BYTES);
  }

  #change(next: Buffer): void {
    this.#versions.push(next);
    this.changes++;
  }

  /** A transfer begins: what the file was before does not count any more. */
  begin(): void {
    this.#versions = [this.#now];
  }

  /** False: it has changed often enough for one transfer. */
  get mayChange(): boolean {
    return this.#versions.length < MOST_VERSIONS;
  }

  /** The generation's digit of that many lines becomes another letter; the canaries stay. */
  rewrite(lines: number): void {
    const next = Buffer.from(this.#now);
    for (let i = 0; i < lines; i++) {
      const canary = next.indexOf(CANARY, this.#random.between(0, this.#length - 1));
      const at = canary + CANARY.length + 1;
      if (canary < 0 || at >= this.#length) continue;
      next[at] = 97 + ((next[at]! + this.#random.between(1, 25)) % 26);
      writeSync(this.#descriptor, next, at, 1, at);
    }
    this.#change(next);
  }

  shrink(thousandths: number): void {
    this.#length = Math.max(1, Math.floor((FILE_BYTES * Math.min(thousandths, 1000)) / 1000));
    const next = Buffer.from(this.#now);
    // The kernel clears the rest of the last folio, which may be many pages; those behind it live on in what refers to them.
    next.fill(0, this.#length);
    ftruncateSync(this.#descriptor, this.#length);
    this.#change(next);
  }

  /** As long as at first, with other content where it was cut. */
  grow(): void {
    if (this.#length === FILE_BYTES) return;
    const next = Buffer.from(this.#now);
    this.#content().copy(next, this.#length, this.#length);
    writeSync(this.#descriptor, next, this.#length, FILE_BYTES - this.#length, this.#length);
    this.#length = FILE_BYTES;
    this.#change(next);
  }

  /** '' when every byte is one that this place of the file had; `whole`: and there is nothing missing. */
  wrongWith(body: Uint8Array, whole: boolean): string {
    if (whole && body.length !== FILE_BYTES) return `${body.length} bytes where the file has ${FILE_BYTES}`;
    const [first, ...others] = this.#versions;
    if (others.length === 0 && first!.subarray(0, body.length).equals(body)) return '';
    const at = body.findIndex((byte, i) => !this.#versions.some((version) => version[i] === byte));
    return at < 0 ? '' : `at byte ${at} of ${body.length} a value that the file never had there`;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

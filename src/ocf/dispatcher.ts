/** Gathers the ops of one turn of the event loop into bursts, hands each down in one call, and tells how ops ended. */
import { SocryptError } from '../errors.ts';
import type { NativeOcf } from '../native.ts';
import { statusError } from './crypto-names.ts';
import { bytesOf, ROW_BYTES, type RowOp, Rows } from './rows.ts';

/** `results` are copies; of an op that failed there are none. */
export type Done = (error: SocryptError | null, results: readonly Uint8Array[]) => void;
interface Request {
  readonly what: string;
  readonly op: RowOp;
  readonly bytes: number;
  readonly done: Done;
}
interface Burst {
  readonly memory: ArrayBuffer;
  readonly rows: Rows;
  readonly requests: readonly Request[];
  pending: number;
}

const PENDING = 1;
const ROWS_PER_BURST = 256;
const BYTES_PER_BURST = 4 << 20;
/** Ops that wait for room in a queue; beyond that run() throws. */
const MAX_WAITING = 65_536;
const SMALLEST = 16 * 1024;
/** Pieces of memory that are kept, per size, for the next burst. */
const KEPT = 4;

export class Dispatcher {
  readonly #native: NativeOcf;
  readonly #waiting: Request[] = [];
  readonly #bursts = new Map<number, Burst>();
  readonly #free = new Map<number, ArrayBuffer[]>();
  #scheduled = false;

  constructor(native: NativeOcf) {
    this.#native = native;
  }

  /** Throws ERR_SOCRYPT_OCF_FULL when too many ops wait. */
  run(what: string, op: RowOp, done: Done): void {
    if (this.#waiting.length >= MAX_WAITING) {
      throw new SocryptError(
        'ERR_SOCRYPT_OCF_FULL',
        `${what}: expected at most ${MAX_WAITING} ops to wait, received one more; await some of them first`,
      );
    }
    this.#waiting.push({ what, op, bytes: bytesOf(op), done });
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** Hands down what waits, as far as there is room. */
  flush(): void {
    while (this.#waiting.length > 0) if (!this.#dispatch()) return;
  }

  /** Rows that are complete: burst, row, burst, row, … */
  told(list: Uint32Array): void {
    for (let i = 0; i < list.length; i += 2) {
      const burst = this.#bursts.get(list[i]!);
      if (burst === undefined) continue;
      this.#settle(burst, list[i + 1]!);
      if (--burst.pending > 0) continue;
      this.#bursts.delete(list[i]!);
      this.#giveBack(burst);
    }
    this.flush();
  }

  /** False: no more is accepted for now. */
  #dispatch(): boolean {
    let bytes = 0;
    let count = 0;
    for (; count < this.#waiting.length && count < ROWS_PER_BURST; ++count) {
      const more = ROW_BYTES + this.#waiting[count]!.bytes;
      if (count > 0 && bytes + more > BYTES_PER_BURST) break;
      bytes += more;
    }
    const requests = this.#waiting.slice(0, count);
    const memory = this.#memory(bytes);
    const rows = new Rows(memory, count);
    for (const [row, { op }] of requests.entries()) rows.write(row, op);
    const [id, accepted] = this.#native.dispatch(memory, count);
    this.#waiting.splice(0, accepted);
    const burst: Burst = { memory, rows, requests, pending: 0 };
    const complete: number[] = [];
    for (let row = 0; row < accepted; ++row) {
      if (rows.status(row) === PENDING) burst.pending++;
      else complete.push(row);
    }
    if (burst.pending > 0) this.#bursts.set(id, burst);
    for (const row of complete) this.#settle(burst, row);
    if (burst.pending === 0) this.#giveBack(burst);
    if (accepted === count) return true;
    // Told of the next completion; unless all of them are somebody else's.
    if (this.#bursts.size === 0) setTimeout(() => this.flush(), 1);
    return false;
  }

  #settle({ rows, requests }: Burst, row: number): void {
    const { what, op, done } = requests[row]!;
    const status = rows.status(row);
    const error = status === 0 ? null : statusError(what, status);
    try {
      done(error, error === null ? rows.results(row, op) : []);
    } catch (thrown) {
      // A callback's own mistake: everybody else is told all the same.
      queueMicrotask(() => {
        throw thrown;
      });
    }
  }

  #memory(bytes: number): ArrayBuffer {
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, SMALLEST)));
    return this.#free.get(size)?.pop() ?? this.#native.allocate(size);
  }

  #giveBack({ memory, rows }: Burst): void {
    rows.wipe();
    const size = memory.byteLength;
    const kept = this.#free.get(size) ?? [];
    if (kept.length < KEPT) kept.push(memory);
    this.#free.set(size, kept);
  }
}

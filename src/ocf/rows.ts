/**
 * Bursts as the addon reads them (native/addon/ocf_burst.hpp): sixteen numbers of 32 bits per op at the start of a piece of
 * memory that also holds their data.
 */

/** Of a row, in 32-bit numbers. */
const COLUMNS = 16;
export const ROW_BYTES = COLUMNS * 4;
const AT = {
  session: 0,
  kind: 1,
  status: 2,
  input: 3,
  length: 4,
  output: 5,
  aad: 6,
  aadLength: 7,
  iv: 8,
  ivLength: 9,
  inputs: 10,
  outputs: 11,
} as const;

interface Target {
  readonly session: number;
  /** ocf::Kind. */
  readonly kind: number;
}
/** An op on bytes. */
export interface DataOp extends Target {
  readonly iv: Uint8Array;
  readonly aad: Uint8Array;
  /** Payload, and the tag behind it where the op reads one. */
  readonly input: Uint8Array;
  /** Bytes of payload. */
  readonly length: number;
  /** Bytes that the op writes, the tag included. */
  readonly resultLength: number;
  /** The result takes the place of the input. */
  readonly inPlace: boolean;
}
/** An op on big integers, keys and signatures. */
export interface KeyOp extends Target {
  readonly scheme: number;
  readonly inputs: readonly Uint8Array[];
  /** Room for each result, in bytes. */
  readonly rooms: readonly number[];
}
export type RowOp = DataOp | KeyOp;

const isKeyOp = (op: RowOp): op is KeyOp => 'inputs' in op;

/** Regions begin at multiples of 16, as drivers like them. */
const aligned = (bytes: number): number => (bytes + 15) & ~15;

/** Memory that an op takes besides its row. */
export function bytesOf(op: RowOp): number {
  if (isKeyOp(op)) {
    const list = aligned((op.inputs.length + op.rooms.length) * 8);
    return (
      list +
      op.inputs.reduce((sum, input) => sum + aligned(input.length), 0) +
      op.rooms.reduce((sum, room) => sum + aligned(room), 0)
    );
  }
  const both = op.inPlace
    ? aligned(Math.max(op.input.length, op.resultLength))
    : aligned(op.input.length) + aligned(op.resultLength);
  return both + aligned(op.aad.length) + aligned(op.iv.length);
}

export class Rows {
  readonly #columns: Uint32Array;
  readonly #statuses: Int32Array;
  readonly #bytes: Uint8Array;
  #at: number;

  /** `count` rows will be written, each once and in order. */
  constructor(memory: ArrayBuffer, count: number) {
    this.#columns = new Uint32Array(memory);
    this.#statuses = new Int32Array(memory);
    this.#bytes = new Uint8Array(memory);
    this.#at = count * ROW_BYTES;
  }

  write(row: number, op: RowOp): void {
    const columns = this.#columns.subarray(row * COLUMNS, (row + 1) * COLUMNS);
    columns[AT.session] = op.session;
    if (isKeyOp(op)) {
      columns[AT.kind] = op.kind | (op.scheme << 16);
      columns[AT.inputs] = op.inputs.length;
      columns[AT.outputs] = op.rooms.length;
      const list = this.#take((op.inputs.length + op.rooms.length) * 8);
      columns[AT.input] = list;
      let at = list / 4;
      for (const input of op.inputs) {
        this.#columns[at++] = this.#put(input);
        this.#columns[at++] = input.length;
      }
      for (const room of op.rooms) {
        this.#columns[at++] = this.#take(room);
        this.#columns[at++] = room;
      }
      return;
    }
    columns[AT.kind] = op.kind;
    columns[AT.iv] = this.#put(op.iv);
    columns[AT.ivLength] = op.iv.length;
    columns[AT.aad] = this.#put(op.aad);
    columns[AT.aadLength] = op.aad.length;
    columns[AT.length] = op.length;
    const input = this.#take(op.inPlace ? Math.max(op.input.length, op.resultLength) : op.input.length);
    this.#bytes.set(op.input, input);
    columns[AT.input] = input;
    // An op without a result needs a place all the same, and one of its own.
    columns[AT.output] = op.inPlace ? input : this.#take(op.resultLength);
  }

  status(row: number): number {
    return this.#statuses[row * COLUMNS + AT.status]!;
  }

  /** Copies of what a complete op wrote. */
  results(row: number, op: RowOp): Uint8Array[] {
    const columns = this.#columns.subarray(row * COLUMNS, (row + 1) * COLUMNS);
    if (!isKeyOp(op)) {
      const output = columns[AT.output]!;
      return [this.#bytes.slice(output, output + op.resultLength)];
    }
    const list = columns[AT.input]! / 4 + 2 * op.inputs.length;
    return op.rooms.map((_, i) => {
      const offset = this.#columns[list + 2 * i]!;
      return this.#bytes.slice(offset, offset + columns[AT.inputs + i]!);
    });
  }

  wipe(): void {
    this.#bytes.fill(0);
  }

  #take(bytes: number): number {
    const at = this.#at;
    this.#at += aligned(bytes);
    return at;
  }
  #put(bytes: Uint8Array): number {
    const at = this.#take(bytes.length);
    this.#bytes.set(bytes, at);
    return at;
  }
}

/**
 * What an engine and the control plane say to each other; native/engine/messages.hpp is the other side.
 * Little-endian; strings and byte runs are prefixed by their length (u32); messages are padded to 8 bytes.
 */
import type { FileIdentity, Resolution } from './entry.ts';

export const Up = {
  HandshakeData: 1,
  HandshakeClosed: 2,
  PostHandshake: 3,
  RekeyDue: 4,
  Request: 5,
  Drained: 6,
  Notice: 7,
  DriverAnswer: 8,
} as const;

export const Down = {
  HandshakeSend: 1,
  HandshakeMore: 2,
  Establish: 3,
  HandshakeFail: 4,
  RxKeys: 5,
  TxUpdate: 6,
  PostMore: 7,
  PostFail: 8,
  Resolve: 9,
  ErrorPage: 10,
  Flush: 11,
  SetRoot: 12,
  PostSend: 13,
  PauseNic: 14,
  AttachDriver: 15,
  WithdrawDriver: 16,
} as const;
export type Down = (typeof Down)[keyof typeof Down];

export const Notice = {
  AcceptFailed: 1,
  AcceptRecovered: 2,
  FileChanged: 3,
  DeviceLost: 4,
  DeviceBack: 5,
} as const;

/** In place of an algorithm. */
export const WHOLE_DRIVER = 0xffff;

const HEADER = 16;
const CODINGS = { identity: 0, gzip: 1, br: 2, zstd: 3 } as const;
const SECOND_WORD = 0x1_0000_0000;

/** One direction's keys, as `setCrypt` takes them. Whoever hands them over wipes them. */
export interface TrafficKeys {
  /** TLS cipher suite code point. */
  readonly suite: number;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly recordSeq: bigint;
  readonly epoch: number;
}

/** Reads the messages of one batch in turn. Byte runs are views into the batch. */
export class MessageReader {
  #batch: Uint8Array;
  #view: DataView;
  #next = 0;
  #at = 0;
  type = 0;
  /** Connection id or request token. */
  id = 0;

  constructor(batch: Uint8Array) {
    this.#batch = batch;
    this.#view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  }
  /** Moves to the next message of `used` bytes; false at the end. Begin a batch with `rewind`. */
  next(used: number): boolean {
    if (this.#next + HEADER > used) return false;
    this.#at = this.#next + HEADER;
    this.type = this.#view.getUint16(this.#next + 4, true);
    this.id =
      this.#view.getUint32(this.#next + 8, true) + this.#view.getUint32(this.#next + 12, true) * SECOND_WORD;
    this.#next += this.#view.getUint32(this.#next, true);
    return true;
  }
  rewind(): void {
    this.#next = 0;
  }
  u8(): number {
    return this.#view.getUint8(this.#at++);
  }
  u32(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }
  bytes(): Uint8Array {
    const length = this.u32();
    this.#at += length;
    return this.#batch.subarray(this.#at - length, this.#at);
  }
  text(): string {
    const run = this.bytes();
    return Buffer.from(run.buffer, run.byteOffset, run.byteLength).toString('utf8');
  }
  /** Octets as they came from the peer, one per code unit. */
  latin1(): string {
    const run = this.bytes();
    return Buffer.from(run.buffer, run.byteOffset, run.byteLength).toString('latin1');
  }
}

/** Collects messages for one engine until they are submitted together. */
export class MessageWriter {
  #buffer = Buffer.alloc(64 * 1024);
  #view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.byteLength);
  #start = 0;
  #end = 0;

  get buffer(): Uint8Array {
    return this.#buffer;
  }
  get length(): number {
    return this.#end;
  }
  /** Forgets the first `taken` bytes, which the engine has (and which it wiped here). */
  taken(taken: number): void {
    if (taken < this.#end) this.#buffer.copy(this.#buffer, 0, taken, this.#end);
    this.#buffer.fill(0, this.#end - taken, this.#end);
    this.#end -= taken;
  }

  /** Forgets, and zeroises, everything. */
  wipe(): void {
    this.#buffer.fill(0);
    this.#end = 0;
  }

  begin(type: Down, id: number): void {
    this.#reserve(HEADER);
    this.#start = this.#end;
    this.#view.setUint16(this.#start + 4, type, true);
    this.#view.setUint16(this.#start + 6, 0, true);
    this.#view.setUint32(this.#start + 8, id % SECOND_WORD, true);
    this.#view.setUint32(this.#start + 12, Math.floor(id / SECOND_WORD), true);
    this.#end += HEADER;
  }
  end(): void {
    this.#view.setUint32(this.#start, this.#end - this.#start, true);
    this.#reserve(8);
    this.#end = (this.#end + 7) & ~7;
  }
  u8(value: number): void {
    this.#reserve(1);
    this.#view.setUint8(this.#end, value);
    this.#end += 1;
  }
  u16(value: number): void {
    this.#reserve(2);
    this.#view.setUint16(this.#end, value, true);
    this.#end += 2;
  }
  u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#end, value, true);
    this.#end += 4;
  }
  i32(value: number): void {
    this.#reserve(4);
    this.#view.setInt32(this.#end, value, true);
    this.#end += 4;
  }
  i64(value: bigint): void {
    this.#reserve(8);
    this.#view.setBigInt64(this.#end, BigInt.asIntN(64, value), true);
    this.#end += 8;
  }
  bytes(run: Uint8Array): void {
    this.#reserve(4 + run.length);
    this.u32(run.length);
    this.#buffer.set(run, this.#end);
    this.#end += run.length;
  }
  string(text: string): void {
    const length = Buffer.byteLength(text);
    this.#reserve(4 + length);
    this.u32(length);
    this.#buffer.write(text, this.#end, length, 'utf8');
    this.#end += length;
  }
  keys(keys: TrafficKeys): void {
    this.u16(keys.suite);
    this.u32(keys.epoch);
    this.i64(keys.recordSeq);
    this.bytes(keys.iv);
    this.bytes(keys.key);
  }

  resolution(token: number, resolution: Resolution): void {
    this.begin(Down.Resolve, token);
    this.u8(resolution.kind === 'file' ? 1 : resolution.kind === 'fixed' ? 2 : 3);
    this.u8(resolution.kind !== 'segments' && resolution.cacheable ? 1 : 0);
    this.u8(resolution.kind === 'fixed' && resolution.appendQuery === true ? 1 : 0);
    this.u8(0);
    this.u32(resolution.status);
    switch (resolution.kind) {
      case 'file':
        this.u32(resolution.variants.length);
        for (const variant of resolution.variants) {
          this.i32(variant.fd);
          this.u32(CODINGS[variant.coding]);
          this.#identity(variant.identity);
          this.i64(BigInt(variant.lastModified));
          this.string(variant.etag);
          this.string(variant.headers);
          this.string(variant.headersNotModified);
        }
        break;
      case 'fixed':
        this.string(resolution.headers);
        this.bytes(resolution.body);
        break;
      case 'segments':
        this.i32(resolution.fd);
        this.#identity(resolution.identity);
        this.string(resolution.headers);
        this.u32(resolution.segments.length);
        for (const segment of resolution.segments) {
          if (segment instanceof Uint8Array) {
            this.u32(0);
            this.bytes(segment);
          } else {
            this.u32(1);
            this.i64(BigInt(segment.offset));
            this.i64(BigInt(segment.length));
          }
        }
        break;
    }
    const dependencies = resolution.kind === 'segments' ? [] : resolution.dependencies;
    this.u32(dependencies.length);
    for (const dependency of dependencies) {
      this.string(dependency.path);
      this.u32(dependency.identity === null ? 0 : 1);
      if (dependency.identity !== null) this.#identity(dependency.identity);
    }
    this.end();
  }

  #identity(identity: FileIdentity): void {
    this.i64(identity.dev);
    this.i64(identity.ino);
    this.i64(identity.size);
    this.i64(identity.mtimeNs);
    this.i64(identity.ctimeNs);
  }
  #reserve(more: number): void {
    const need = this.#end + more;
    if (need <= this.#buffer.length) return;
    const bigger = Buffer.alloc(Math.max(need, 2 * this.#buffer.length));
    this.#buffer.copy(bigger, 0, 0, this.#end);
    this.#buffer.fill(0);
    this.#buffer = bigger;
    this.#view = new DataView(bigger.buffer, bigger.byteOffset, bigger.byteLength);
  }
}

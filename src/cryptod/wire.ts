/** The client's half of cryptod's language; native/cryptod/wire.hpp is the other, and says what it all means. */
import { SocryptError } from '../errors.ts';

export const MAGIC = 0x31444353;
export const VERSION = 1;
export const HEADER_BYTES = 16;
export const MAX_FRAME = 64 * 1024;
export const OP_BYTES = 64;
const DONE_BYTES = 16;

export const FrameType = {
  open: 2,
  close: 3,
  submit: 4,
  key: 5,
  drivers: 6,
  answer: 0x80,
  error: 0xff,
} as const;
export const HELLO_ANSWER = 1 | FrameType.answer;
export const OPENED = FrameType.open | FrameType.answer;
export const CLOSED = FrameType.close | FrameType.answer;
export const DONE = FrameType.submit | FrameType.answer;
export const KEY_DONE = FrameType.key | FrameType.answer;
export const DRIVER_LIST = FrameType.drivers | FrameType.answer;

export interface Frame {
  readonly type: number;
  readonly count: number;
  readonly tag: number;
  readonly body: Buffer;
}

const malformed = () =>
  new SocryptError(
    'ERR_SOCRYPT_CRYPTOD',
    'cryptod: the daemon answered what this version does not understand',
  );

/** Cuts a stream into frames. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  *feed(chunk: Buffer): Generator<Frame> {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= HEADER_BYTES) {
      const length = bytes.readUInt32LE(0);
      if (length < HEADER_BYTES || length > MAX_FRAME) throw malformed();
      if (bytes.length < length) break;
      yield {
        type: bytes.readUInt16LE(4),
        count: bytes.readUInt16LE(6),
        tag: Number(bytes.readBigUInt64LE(8)),
        body: bytes.subarray(HEADER_BYTES, length),
      };
      bytes = bytes.subarray(length);
    }
    this.#rest = bytes;
  }
}

export function frame(type: number, tag: number, body: Uint8Array, count = 0): Buffer {
  const out = Buffer.alloc(HEADER_BYTES + body.length);
  if (out.length > MAX_FRAME) {
    throw new SocryptError(
      'ERR_SOCRYPT_ARGUMENT',
      `cryptod: expected a request of at most ${MAX_FRAME} bytes, received ${out.length}`,
    );
  }
  out.writeUInt32LE(out.length, 0);
  out.writeUInt16LE(type, 4);
  out.writeUInt16LE(count, 6);
  out.writeBigUInt64LE(BigInt(tag), 8);
  out.set(body, HEADER_BYTES);
  return out;
}

export interface OpenAlg {
  readonly id: number;
  readonly ivLength: number;
  readonly tagLength: number;
  readonly key: Uint8Array;
}

export function openBody(place: number, chain: readonly OpenAlg[]): Buffer {
  const parts = [Buffer.from([place, chain.length])];
  for (const alg of chain) {
    const head = Buffer.alloc(6);
    head.writeUInt16LE(alg.id, 0);
    head[2] = alg.ivLength;
    head[3] = alg.tagLength;
    head.writeUInt16LE(alg.key.length, 4);
    parts.push(head, Buffer.from(alg.key));
  }
  return Buffer.concat(parts);
}

export interface OpRecord {
  readonly cookie: number;
  readonly session: number;
  readonly kind: number;
  readonly iv: Uint8Array;
  readonly source: number;
  readonly destination: number;
  readonly length: number;
  readonly aad: number;
  readonly aadLength: number;
  readonly mac: number;
}

export function writeOp(to: Buffer, at: number, op: OpRecord): void {
  to.writeBigUInt64LE(BigInt(op.cookie), at);
  to.writeUInt32LE(op.session, at + 8);
  to[at + 12] = op.kind;
  to[at + 13] = op.iv.length;
  to.set(op.iv, at + 16);
  let field = at + 32;
  for (const value of [op.source, op.destination, op.length, op.aad, op.aadLength, op.mac]) {
    to.writeUInt32LE(value, field);
    field += 4;
  }
}

export function keyBody(
  kind: number,
  alg: number,
  scheme: number,
  room: number,
  key: Uint8Array,
  inputs: readonly Uint8Array[],
): Buffer {
  const head = Buffer.alloc(10);
  head[0] = kind;
  head[1] = inputs.length;
  head.writeUInt16LE(alg, 2);
  head.writeUInt16LE(scheme, 4);
  head.writeUInt32LE(room, 6);
  const parts = [head];
  for (const bytes of [key, ...inputs]) {
    const length = Buffer.alloc(2);
    length.writeUInt16LE(bytes.length, 0);
    parts.push(length, Buffer.from(bytes));
  }
  return Buffer.concat(parts);
}

export interface Limits {
  readonly software: boolean;
  readonly maxSessions: number;
  readonly maxPending: number;
  readonly maxArenaBytes: number;
}

export function readHelloAnswer({ body }: Frame): Limits {
  if (body.length !== 24 || body.readUInt32LE(0) !== MAGIC || body.readUInt16LE(4) !== VERSION)
    throw malformed();
  return {
    software: body.readUInt16LE(6) !== 0,
    maxSessions: body.readUInt32LE(8),
    maxPending: body.readUInt32LE(12),
    maxArenaBytes: Number(body.readBigUInt64LE(16)),
  };
}

export function readOpened({ body }: Frame): { status: number; session: number } {
  if (body.length < 7) throw malformed();
  return { status: body.readInt16LE(0), session: body.readUInt32LE(2) };
}

export function readStatus({ body }: Frame): number {
  if (body.length !== 2) throw malformed();
  return body.readInt16LE(0);
}

export function readKeyDone({ body }: Frame): { status: number; output: Buffer } {
  if (body.length < 4 || body.length !== 4 + body.readUInt16LE(2)) throw malformed();
  return { status: body.readInt16LE(0), output: Buffer.from(body.subarray(4)) };
}

export function* readDone({ body, count }: Frame): Generator<{ cookie: number; status: number }> {
  if (body.length !== count * DONE_BYTES) throw malformed();
  for (let at = 0; at < body.length; at += DONE_BYTES)
    yield { cookie: Number(body.readBigUInt64LE(at)), status: body.readInt16LE(at + 8) };
}

export interface DriverRecord {
  readonly id: number;
  readonly flags: number;
  readonly name: string;
}

export function readDrivers({ body, count }: Frame): DriverRecord[] {
  const list: DriverRecord[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (body.length < at + 9) throw malformed();
    const end = at + 9 + body[at + 8]!;
    if (body.length < end) throw malformed();
    list.push({
      id: body.readUInt32LE(at),
      flags: body.readUInt32LE(at + 4),
      name: body.toString('utf8', at + 9, end),
    });
    at = end;
  }
  return list;
}

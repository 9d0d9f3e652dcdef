/**
 * A client of cryptod: sessions and ops in another process. Payloads lie in `memory`, which the daemon maps as well; an op says
 * where. Several may be pending; each has its own promise. See docs/cryptod.md.
 */
import { Socket } from 'node:net';
import { SocryptError } from '../errors.ts';
import { native } from '../native.ts';
import {
  ALGORITHMS,
  KEY_ALGORITHMS,
  KEY_KINDS,
  type KeyRequest,
  KINDS,
  type OpKind,
  PLACES,
  type SessionParams,
  statusError,
} from '../ocf/crypto-names.ts';
import * as wire from './wire.ts';

export interface CryptodOptions {
  readonly path: string;
  /** Bytes of shared memory. Default: 1 MiB. */
  readonly arenaBytes?: number;
}

/** struct crypt_op; offsets into `memory`. */
export interface CryptodOp {
  readonly session: number;
  readonly kind: OpKind;
  readonly iv?: Uint8Array;
  readonly source: number;
  /** Default: `source`. */
  readonly destination?: number;
  readonly length: number;
  readonly aad?: number;
  readonly aadLength?: number;
  /** Where the tag is written (seal, mac) or read (open). */
  readonly tag?: number;
}

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

const NO_IV = new Uint8Array(0);
const OPS_PER_FRAME = Math.floor((wire.MAX_FRAME - wire.HEADER_BYTES) / wire.OP_BYTES);

export class CryptodClient {
  /** Shared with the daemon. */
  readonly memory: Uint8Array;
  readonly limits: wire.Limits;
  readonly #socket: Socket;
  readonly #answers = new Map<number, Waiting<wire.Frame>>();
  readonly #ops = new Map<number, Waiting<void>>();
  /** Ops of this turn of the event loop, which go as one frame. */
  #batch: wire.OpRecord[] = [];
  #last = 0;
  #failure: Error | null = null;

  private constructor(socket: Socket, memory: Uint8Array, limits: wire.Limits) {
    this.#socket = socket;
    this.memory = memory;
    this.limits = limits;
  }

  static async connect(options: CryptodOptions): Promise<CryptodClient> {
    const { fd, memory } = native.cryptod.connect(options.path, options.arenaBytes ?? 1 << 20);
    const socket = new Socket({ fd, readable: true, writable: true });
    const reader = new wire.FrameReader();
    return new Promise((resolve, reject) => {
      let client: CryptodClient | null = null;
      const fail = (error: Error) => {
        socket.destroy();
        if (client === null) reject(error);
        else client.#fail(error);
      };
      socket.on('data', (chunk) => {
        try {
          for (const frame of reader.feed(chunk)) {
            if (frame.type === wire.FrameType.error) throw refusal(frame.body.toString('utf8'));
            if (client !== null) client.#take(frame);
            else {
              client = new CryptodClient(socket, new Uint8Array(memory), wire.readHelloAnswer(frame));
              // Nothing to wait for: an idle client keeps no process alive.
              socket.unref();
              resolve(client);
            }
          }
        } catch (error) {
          fail(error as Error);
        }
      });
      socket.on('error', fail);
      socket.on('close', () => fail(refusal('the daemon closed the connection')));
    });
  }

  /** EINVAL of /dev/crypto is ERR_SOCRYPT_OCF_INVALID: only software could serve, and the daemon does not lend it. */
  async openSession(params: SessionParams): Promise<number> {
    const chain = params.chain.map(({ name, key, tagLength }) => {
      const { id, iv, tag } = ALGORITHMS[name];
      return { id, ivLength: iv, tagLength: tagLength ?? tag, key };
    });
    const body = wire.openBody(PLACES[params.place ?? 'any'], chain);
    const { status, session } = wire.readOpened(await this.#ask(wire.FrameType.open, body));
    if (status !== 0) throw statusError('openSession', status);
    return session;
  }

  async closeSession(session: number): Promise<void> {
    const body = Buffer.alloc(4);
    body.writeUInt32LE(session);
    const status = wire.readStatus(await this.#ask(wire.FrameType.close, body));
    if (status !== 0) throw statusError('closeSession', status);
  }

  /** Rejects with the op's error. Ops that are given in one turn of the event loop travel together. */
  crypt(op: CryptodOp): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      const cookie = ++this.#last;
      if (this.#batch.length === 0) queueMicrotask(() => this.#flush());
      this.#batch.push({
        cookie,
        session: op.session,
        kind: KINDS[op.kind],
        iv: op.iv ?? NO_IV,
        source: op.source,
        destination: op.destination ?? op.source,
        length: op.length,
        aad: op.aad ?? 0,
        aadLength: op.aadLength ?? 0,
        mac: op.tag ?? 0,
      });
      this.#ops.set(cookie, { resolve, reject });
      this.#hold();
    });
  }

  /** CIOCKEY: atomic, without a session. */
  async key(request: KeyRequest): Promise<Uint8Array> {
    const body = wire.keyBody(
      KEY_KINDS[request.kind],
      KEY_ALGORITHMS[request.algorithm],
      request.scheme ?? 0,
      request.outputLength,
      request.key ?? NO_IV,
      request.inputs,
    );
    const { status, output } = wire.readKeyDone(await this.#ask(wire.FrameType.key, body));
    if (status !== 0) throw statusError('key', status);
    return output;
  }

  async drivers(): Promise<wire.DriverRecord[]> {
    return wire.readDrivers(await this.#ask(wire.FrameType.drivers, new Uint8Array(0)));
  }

  /** Ends the connection, and with it its sessions; what is pending is rejected. */
  close(): void {
    this.#fail(refusal('the client is closed'));
    this.#socket.destroy();
  }

  #ask(type: number, body: Uint8Array): Promise<wire.Frame> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      const tag = ++this.#last;
      const bytes = wire.frame(type, tag, body);
      this.#answers.set(tag, { resolve, reject });
      this.#hold();
      // Keys pass through here.
      this.#socket.write(bytes, () => bytes.fill(0));
    });
  }

  #flush(): void {
    const batch = this.#batch;
    this.#batch = [];
    if (this.#failure !== null) return;
    for (let from = 0; from < batch.length; from += OPS_PER_FRAME) {
      const part = batch.slice(from, from + OPS_PER_FRAME);
      const body = Buffer.alloc(part.length * wire.OP_BYTES);
      part.forEach((op, i) => {
        wire.writeOp(body, i * wire.OP_BYTES, op);
      });
      this.#socket.write(wire.frame(wire.FrameType.submit, ++this.#last, body, part.length));
    }
  }

  #take(frame: wire.Frame): void {
    if (frame.type === wire.DONE) {
      for (const { cookie, status } of wire.readDone(frame)) {
        const op = this.#ops.get(cookie);
        this.#ops.delete(cookie);
        if (status === 0) op?.resolve();
        else op?.reject(statusError('crypt', status));
      }
    } else {
      const answer = this.#answers.get(frame.tag);
      this.#answers.delete(frame.tag);
      // The chunk's memory is the socket's; an answer may be read later.
      answer?.resolve({ ...frame, body: Buffer.from(frame.body) });
    }
    if (this.#ops.size === 0 && this.#answers.size === 0) this.#socket.unref();
  }

  #hold(): void {
    if (this.#ops.size + this.#answers.size === 1) this.#socket.ref();
  }

  #fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    for (const { reject } of [...this.#ops.values(), ...this.#answers.values()]) reject(error);
    this.#ops.clear();
    this.#answers.clear();
  }
}

const refusal = (why: string) => new SocryptError('ERR_SOCRYPT_CRYPTOD', `cryptod: ${why}`);

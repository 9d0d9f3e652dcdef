/**
 * One engine as the control plane sees it: batches of messages both ways. Answers go down several
 * together, since a system call and a wake-up of the engine cost more than the messages in them.
 */
import { type EngineOptions, type NativeAccessLog, type NativeEngine, native } from '../native.ts';
import type { RequestHead, Resolution } from './entry.ts';
import { Down, MessageReader, MessageWriter, Notice, type TrafficKeys, Up } from './messages.ts';

/** Answers to one engine's handshakes. Every call about a connection that is gone is ignored. */
export interface CryptSockets {
  /** Wire bytes; the engine reads on afterwards. */
  send(connection: number, bytes: Uint8Array): void;
  more(connection: number): void;
  /** setCrypt in both directions: `first` goes out as it is, then records are the engine's. */
  establish(
    connection: number,
    first: Uint8Array,
    tx: TrafficKeys,
    rx: TrafficKeys,
    update: Uint8Array,
    leftover: Uint8Array,
  ): void;
  /** Sends `alert` (wire bytes, may be empty) and closes. */
  fail(connection: number, alert: Uint8Array): void;
  receiveKeys(connection: number, keys: TrafficKeys, update: Uint8Array): void;
  /** Sends `message` under the current key, then seals with `keys`. `asked`: the answer to rekeyDue. */
  updateTransmit(
    connection: number,
    asked: boolean,
    message: Uint8Array,
    keys: TrafficKeys,
    update: Uint8Array,
  ): void;
  /** The post-handshake message needed no new keys. */
  postMore(connection: number, update: Uint8Array): void;
  postFail(connection: number, alert: number): void;
  /**
   * Handshake messages (a NewSessionTicket) after `establish`, at any time: sealed under the key in force, between two
   * records of the engine's own. TLS 1.3 only; 1 byte to 256 KiB.
   */
  sendHandshake(connection: number, content: Uint8Array): void;
}

/** What the control plane does with an engine's handshake messages. Byte runs are valid only during the call. */
export interface HandshakeHandler {
  data(sockets: CryptSockets, connection: number, bytes: Uint8Array): void;
  closed(sockets: CryptSockets, connection: number): void;
  postHandshake(sockets: CryptSockets, connection: number, update: Uint8Array, content: Uint8Array): void;
  rekeyDue(sockets: CryptSockets, connection: number, update: Uint8Array): void;
}

export interface EngineLinkHooks {
  readonly handshakes: HandshakeHandler;
  request(link: EngineLink, token: number, request: RequestHead): void;
  drained(link: EngineLink): void;
  notice(text: string, recovered: boolean): void;
}

const POLL_BYTES = 256 * 1024;
const RETRY_MS = 2;
const MESSAGES_PER_SUBMIT = 16;

export class EngineLink implements CryptSockets {
  readonly #engine: NativeEngine;
  readonly #hooks: EngineLinkHooks;
  readonly #batch = new Uint8Array(POLL_BYTES);
  readonly #reader = new MessageReader(this.#batch);
  readonly #writer = new MessageWriter();
  #inBatch = false;
  #scheduled = false;
  #stopped = false;

  constructor(options: EngineOptions, accessLog: NativeAccessLog | null, hooks: EngineLinkHooks) {
    this.#hooks = hooks;
    this.#engine = new native.Engine(options, accessLog, () => this.#onWake());
  }

  listen(): number {
    return this.#engine.listen();
  }
  start(): void {
    this.#engine.start();
  }
  drain(deadlineMs: number): void {
    this.#engine.drain(deadlineMs);
  }
  stop(): void {
    if (this.#stopped) return;
    // Descriptors in messages that wait here become the engine's, which closes them.
    this.#submit();
    this.#stopped = true;
    this.#engine.stop();
  }
  counters(): Float64Array {
    return this.#engine.counters();
  }

  send(connection: number, bytes: Uint8Array): void {
    this.#writer.begin(Down.HandshakeSend, connection);
    this.#writer.bytes(bytes);
    this.#done();
  }
  more(connection: number): void {
    this.#writer.begin(Down.HandshakeMore, connection);
    this.#done();
  }
  establish(
    connection: number,
    first: Uint8Array,
    tx: TrafficKeys,
    rx: TrafficKeys,
    update: Uint8Array,
    leftover: Uint8Array,
  ): void {
    this.#writer.begin(Down.Establish, connection);
    this.#writer.bytes(first);
    this.#writer.keys(tx);
    this.#writer.keys(rx);
    this.#writer.bytes(update);
    this.#writer.bytes(leftover);
    this.#done();
  }
  fail(connection: number, alert: Uint8Array): void {
    this.#writer.begin(Down.HandshakeFail, connection);
    this.#writer.bytes(alert);
    this.#done();
  }
  receiveKeys(connection: number, keys: TrafficKeys, update: Uint8Array): void {
    this.#writer.begin(Down.RxKeys, connection);
    this.#writer.keys(keys);
    this.#writer.bytes(update);
    this.#done();
  }
  updateTransmit(
    connection: number,
    asked: boolean,
    message: Uint8Array,
    keys: TrafficKeys,
    update: Uint8Array,
  ): void {
    this.#writer.begin(Down.TxUpdate, connection);
    this.#writer.u8(asked ? 1 : 0);
    this.#writer.bytes(message);
    this.#writer.keys(keys);
    this.#writer.bytes(update);
    this.#done();
  }
  postMore(connection: number, update: Uint8Array): void {
    this.#writer.begin(Down.PostMore, connection);
    this.#writer.bytes(update);
    this.#done();
  }
  postFail(connection: number, alert: number): void {
    this.#writer.begin(Down.PostFail, connection);
    this.#writer.u8(alert);
    this.#done();
  }
  sendHandshake(connection: number, content: Uint8Array): void {
    this.#writer.begin(Down.PostSend, connection);
    this.#writer.bytes(content);
    this.#done();
  }

  /** Answers a request. Ownership of the descriptors in `resolution` passes on. */
  resolve(token: number, resolution: Resolution): void {
    if (this.#stopped) {
      closeDescriptors(resolution);
      return;
    }
    this.#writer.resolution(token, resolution);
    this.#schedule();
  }
  errorPage(status: number, headers: string, body: Uint8Array): void {
    this.#writer.begin(Down.ErrorPage, 0);
    this.#writer.u32(status);
    this.#writer.string(headers);
    this.#writer.bytes(body);
    this.#done();
  }
  flush(): void {
    this.#writer.begin(Down.Flush, 0);
    this.#done();
  }
  /** Ownership of `fd` passes on. */
  setRoot(fd: number): void {
    this.#writer.begin(Down.SetRoot, 0);
    this.#writer.i32(fd);
    this.#done();
  }

  #done(): void {
    this.#writer.end();
    this.#schedule();
  }

  // One batch per turn of the event loop, so that timers and the other engines have their turns, and answers
  // every few messages: waiting until an engine has nothing more to say would be for ever when it is busy.
  #onWake(): void {
    if (this.#stopped) return;
    const used = this.#engine.poll(this.#batch);
    if (used === 0) return;
    this.#inBatch = true;
    try {
      this.#reader.rewind();
      for (let handled = 1; this.#reader.next(used); ++handled) {
        this.#dispatch();
        if (handled % MESSAGES_PER_SUBMIT === 0) this.#submit();
      }
      // Secrets of KeyUpdate pass through here.
      this.#batch.fill(0, 0, used);
    } finally {
      this.#inBatch = false;
      this.#submit();
      // A batch that was full left messages behind, of which no new wake-up tells.
      setImmediate(() => this.#onWake());
    }
  }

  #dispatch(): void {
    const reader = this.#reader;
    const { handshakes } = this.#hooks;
    switch (reader.type) {
      case Up.HandshakeData:
        handshakes.data(this, reader.id, reader.bytes());
        break;
      case Up.HandshakeClosed:
        handshakes.closed(this, reader.id);
        break;
      case Up.PostHandshake: {
        const update = reader.bytes();
        handshakes.postHandshake(this, reader.id, update, reader.bytes());
        break;
      }
      case Up.RekeyDue:
        handshakes.rekeyDue(this, reader.id, reader.bytes());
        break;
      case Up.Request:
        this.#hooks.request(this, reader.id, {
          method: reader.latin1(),
          target: reader.latin1(),
          path: reader.latin1(),
          query: reader.latin1(),
          headers: parseFields(reader.latin1()),
        });
        break;
      case Up.Drained:
        this.#hooks.drained(this);
        break;
      case Up.Notice: {
        const what = reader.u32();
        if (what === Notice.AcceptFailed)
          this.#hooks.notice(
            'no file descriptor is left: new connections are refused until some are free (raise ulimit -n)',
            false,
          );
        else if (what === Notice.AcceptRecovered)
          this.#hooks.notice('file descriptors are free again: connections are accepted', true);
        break;
      }
    }
  }

  #schedule(): void {
    if (this.#inBatch || this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#submit();
    });
  }

  #submit(): void {
    if (this.#stopped || this.#writer.length === 0) return;
    this.#writer.taken(this.#engine.submit(this.#writer.buffer, this.#writer.length));
    // The engine's ring is full: it drains in microseconds.
    if (this.#writer.length !== 0 && !this.#scheduled) {
      this.#scheduled = true;
      setTimeout(() => {
        this.#scheduled = false;
        this.#submit();
      }, RETRY_MS);
    }
  }
}

/** Raw field lines -> lower-case names; repeated fields are joined (RFC 9110 section 5.2). */
function parseFields(raw: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of raw.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}

function closeDescriptors(resolution: Resolution): void {
  if (resolution.kind === 'file') for (const variant of resolution.variants) native.files.close(variant.fd);
  else if (resolution.kind === 'segments') native.files.close(resolution.fd);
}

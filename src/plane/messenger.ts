/**
 * One pair of rings to an engine: batches of messages both ways. Answers go down several together, since a
 * system call and a wake-up of the engine cost more than the messages in them.
 */
import { type Down, MessageReader, MessageWriter } from './messages.ts';

/** The native half: an engine, or its handshake channel. */
export interface MessagePort {
  poll(into: Uint8Array): number;
  submit(messages: Uint8Array, length: number): number;
}

const POLL_BYTES = 256 * 1024;
/** Half of a ring (message_ring.hpp). */
const LARGEST_MESSAGE = 128 * 1024;
const RETRY_MS = 2;
const MESSAGES_PER_SUBMIT = 16;
/** A message may take as long as a signature, and a batch may have one of every connection. */
const TURN_MS = 0.5;

export class Messenger {
  readonly #port: MessagePort;
  readonly #handle: (message: MessageReader) => void;
  readonly #batch = new Uint8Array(POLL_BYTES);
  readonly #reader = new MessageReader(this.#batch);
  readonly #writer = new MessageWriter();
  /** Bytes of the batch that is being read. */
  #used = 0;
  /** There is more to poll. */
  #woken = false;
  #inBatch = false;
  #scheduled = false;
  #stopped = false;

  /** `handle` reads one message; what it throws ends the batch, and nothing catches it here. */
  constructor(port: MessagePort, handle: (message: MessageReader) => void) {
    this.#port = port;
    this.#handle = handle;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Begins a message; `end` after its fields. */
  begin(type: Down, id: number): MessageWriter {
    this.#writer.begin(type, id);
    return this.#writer;
  }
  end(): void {
    this.#writer.end();
    this.#schedule();
  }
  /** Writes a whole message. */
  write(message: (writer: MessageWriter) => void): void {
    message(this.#writer);
    this.#schedule();
  }

  // A turn of the event loop ends with the batch, or when it has lasted long enough, so that timers and the other engines
  // have their turns; answers go every few messages: waiting until an engine has nothing more to say would be for ever
  // when it is busy.
  onWake(): void {
    if (this.#stopped) return;
    this.#woken = this.#used !== 0;
    if (this.#woken) return;
    this.#used = this.#port.poll(this.#batch);
    if (this.#used === 0) return;
    this.#reader.rewind();
    this.#turn();
  }

  #turn(): void {
    const used = this.#used;
    if (this.#stopped) {
      this.#batchDone(used);
      return;
    }
    const until = performance.now() + TURN_MS;
    let more = false;
    this.#inBatch = true;
    try {
      for (let handled = 1; !more && this.#reader.next(used); ++handled) {
        this.#handle(this.#reader);
        if (handled % MESSAGES_PER_SUBMIT === 0) this.#submit();
        more = !this.#stopped && performance.now() >= until;
      }
    } finally {
      this.#inBatch = false;
      this.#submit();
      if (!more) this.#batchDone(used);
    }
    if (more) setImmediate(() => this.#turn());
  }

  #batchDone(used: number): void {
    // Secrets of KeyUpdate pass through here.
    this.#batch.fill(0, 0, used);
    this.#used = 0;
    // A batch that was full may have left messages behind, of which no new wake-up tells.
    if (this.#woken || used > POLL_BYTES - LARGEST_MESSAGE) setImmediate(() => this.onWake());
  }

  /** Hands down what waits here, and nothing after that. */
  stop(): void {
    if (this.#stopped) return;
    this.#submit();
    this.#stopped = true;
    this.#writer.wipe();
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
    this.#writer.taken(this.#port.submit(this.#writer.buffer, this.#writer.length));
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

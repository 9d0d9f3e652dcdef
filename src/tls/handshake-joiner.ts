/** Handshake messages out of record fragments (RFC 8446 5.1): several in one record, one over several. */
import { TlsError } from './alerts.ts';
import { ByteQueue } from './byte-queue.ts';
import { HANDSHAKE_HEADER } from './codepoints.ts';

export interface HandshakeMessage {
  readonly type: number;
  /** Header and body, as they go into the transcript. Aliases the input: copy what is kept. */
  readonly whole: Uint8Array;
  readonly body: Uint8Array;
}

/** Proof that no handshake byte waits; a new read key asks for it. */
declare const aligned: unique symbol;
export type Aligned = { readonly [aligned]: true };
const ALIGNED = Object.freeze({}) as Aligned;

/**
 * RFC 8446 5.1: "Handshake messages MUST NOT span key changes"; "Implementations MUST verify that all messages
 * immediately preceding a key change align with a record boundary". Bytes of a message that waits, partial or
 * complete, would otherwise be taken as if they had come under the new key (RUSTSEC-2026-0285, CVE-2025-61730).
 * `waiting`: how many do.
 */
export function alignedAt(waiting: number): Aligned {
  if (waiting !== 0) throw new TlsError('handshake_bytes_before_key_change');
  return ALIGNED;
}

export class HandshakeJoiner {
  readonly #queue = new ByteQueue();
  readonly #maxMessage: number;

  /** `maxMessage`: bytes of one message, header included. */
  constructor(maxMessage: number) {
    this.#maxMessage = maxMessage;
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /** HandshakeType of the message of which bytes wait. */
  get waitingType(): number | undefined {
    return this.isEmpty ? undefined : this.#queue.at(0);
  }

  push(fragment: Uint8Array): void {
    this.#queue.push(fragment);
  }

  next(): HandshakeMessage | undefined {
    const queue = this.#queue;
    if (queue.length < HANDSHAKE_HEADER) return undefined;
    const length = HANDSHAKE_HEADER + ((queue.at(1) << 16) | (queue.at(2) << 8) | queue.at(3));
    if (length > this.#maxMessage) throw new TlsError('handshake_message_too_long');
    if (queue.length < length) return undefined;
    const whole = queue.take(length);
    return { type: whole[0]!, whole, body: whole.subarray(HANDSHAKE_HEADER) };
  }

  settle(): void {
    this.#queue.settle();
  }

  /** Throws unless no byte waits; see `alignedAt`. */
  requireAligned(): Aligned {
    return alignedAt(this.#queue.length);
  }
}

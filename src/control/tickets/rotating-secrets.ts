/** Keys of this process alone: random, and new ones on a schedule. */
import { SEALING_KEY_LENGTH } from '../../tls/session/index.ts';
import type { TicketSecrets } from './ticket-sealer.ts';

export interface RotationOptions {
  /** From a cryptographically secure source. */
  randomBytes(length: number): Uint8Array;
  /** Milliseconds, any origin. */
  now(): number;
  /** How long a key seals, ms; at least a ticket's lifetime, so that one previous key opens every ticket that lives. */
  readonly period: number;
}

export class RotatingSecrets {
  readonly #options: RotationOptions;
  #rotateAt: number;
  #secrets: TicketSecrets;

  constructor(options: RotationOptions) {
    this.#options = options;
    this.#rotateAt = options.now() + options.period;
    this.#secrets = { current: this.#fresh(), next: [this.#fresh()], previous: [] };
  }

  /** Valid until the next rotation, which wipes what falls out. */
  get secrets(): TicketSecrets {
    return this.#secrets;
  }

  /** Call it now and then. True: there are other secrets now. */
  tick(): boolean {
    const { now, period } = this.#options;
    if (now() < this.#rotateAt) return false;
    // A machine that slept may have missed some.
    const missed = Math.floor((now() - this.#rotateAt) / period);
    this.#rotateAt += (missed + 1) * period;
    for (let i = 0; i <= Math.min(missed, 1); i++) this.#rotate();
    return true;
  }

  wipe(): void {
    const { current, next, previous } = this.#secrets;
    for (const secret of [current, ...next, ...previous]) secret.fill(0);
  }

  #rotate(): void {
    const { current, next, previous } = this.#secrets;
    for (const secret of previous) secret.fill(0);
    this.#secrets = { current: next[0] ?? this.#fresh(), next: [this.#fresh()], previous: [current] };
  }

  #fresh(): Uint8Array {
    return Uint8Array.from(this.#options.randomBytes(SEALING_KEY_LENGTH));
  }
}

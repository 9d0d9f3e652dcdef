/** The keys in use, as the handshake asks for them: one seals, all of them open. */
import type { CryptoProvider } from '../../tls/index.ts';
import {
  open,
  type Purpose,
  type Sealer,
  type SealingKey,
  seal,
  sealingKey,
} from '../../tls/session/index.ts';

/** Secrets of 32 bytes; what a file holds, a callback gives, and control workers are sent. */
export interface TicketSecrets {
  /** Seals. */
  readonly current: Uint8Array;
  /** Open only: the next ones, so that everyone knows them before anyone seals with them, and the previous ones. */
  readonly next: readonly Uint8Array[];
  readonly previous: readonly Uint8Array[];
}

/** Those who were sent a copy wipe it once they have made their own of it. */
export function wipeSecrets({ current, next, previous }: TicketSecrets): void {
  for (const secret of [current, ...next, ...previous]) secret.fill(0);
}

export class TicketSealer implements Sealer {
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  readonly #provider: CryptoProvider;
  #current: SealingKey;
  #keys: readonly SealingKey[];

  /** Copies. Throws RangeError for a secret that is not 32 bytes or is all zeros. */
  constructor(provider: CryptoProvider, secrets: TicketSecrets, now: () => number = Date.now) {
    this.now = now;
    this.#provider = provider;
    [this.#current, this.#keys] = this.#import(secrets);
  }

  /** From now on these; the ones before are wiped. */
  replace(secrets: TicketSecrets): void {
    const [current, keys] = this.#import(secrets);
    this.wipe();
    this.#current = current;
    this.#keys = keys;
  }

  seal(purpose: Purpose, plaintext: Uint8Array): Uint8Array {
    return seal(this.#provider, this.#current, purpose, plaintext);
  }

  open(purpose: Purpose, sealed: Uint8Array): Uint8Array | undefined {
    for (const key of this.#keys) {
      const plaintext = open(this.#provider, key, purpose, sealed);
      if (plaintext !== undefined) return plaintext;
    }
    return undefined;
  }

  wipe(): void {
    for (const { secret } of this.#keys) secret.fill(0);
  }

  #import({ current, next, previous }: TicketSecrets): [SealingKey, SealingKey[]] {
    const first = sealingKey(this.#provider, Uint8Array.from(current));
    const others = [...previous, ...next].map((secret) =>
      sealingKey(this.#provider, Uint8Array.from(secret)),
    );
    return [first, [first, ...others]];
  }
}

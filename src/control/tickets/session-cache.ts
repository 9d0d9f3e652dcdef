/** A bounded cache of TLS 1.2 sessions, in memory: of this process alone, unlike tickets. */
import type { SessionCache } from '../../tls/session/index.ts';

export interface SessionCacheOptions {
  /** Sessions at most, 1 or more; the one that was stored first makes room. */
  readonly maxSessions: number;
  /** Seconds, 1 to 604800. */
  readonly lifetime: number;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

interface Entry {
  readonly state: Uint8Array;
  readonly expiresAt: number;
}

export class MemorySessionCache implements SessionCache {
  readonly lifetime: number;
  readonly now: () => number;
  readonly #maxSessions: number;
  /** By the bytes of the id as characters; in the order in which they were stored. */
  readonly #entries = new Map<string, Entry>();

  constructor({ maxSessions, lifetime, now }: SessionCacheOptions) {
    this.#maxSessions = maxSessions;
    this.lifetime = lifetime;
    this.now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  store(id: Uint8Array, state: Uint8Array, lifetime: number): void {
    const key = keyOf(id);
    this.#forget(key);
    for (const [oldest] of this.#entries) {
      if (this.#entries.size < this.#maxSessions) break;
      this.#forget(oldest);
    }
    this.#entries.set(key, { state, expiresAt: this.now() + 1000 * lifetime });
  }

  find(id: Uint8Array): Uint8Array | undefined {
    const key = keyOf(id);
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (this.now() < entry.expiresAt) return Uint8Array.from(entry.state);
    this.#forget(key);
    return undefined;
  }

  /** Forgets all of them. */
  clear(): void {
    for (const key of [...this.#entries.keys()]) this.#forget(key);
  }

  #forget(key: string): void {
    this.#entries.get(key)?.state.fill(0);
    this.#entries.delete(key);
  }
}

function keyOf(id: Uint8Array): string {
  return String.fromCharCode(...id);
}

/** Sessions as the handshakes of one thread use them. */
import type { CryptoProvider } from '../../tls/index.ts';
import type { Sealer, SessionCache, SessionTickets } from '../../tls/session/index.ts';
import { MemorySessionCache } from './session-cache.ts';
import { SingleUseTable } from './single-use.ts';
import { TicketSealer, type TicketSecrets } from './ticket-sealer.ts';

/** Values alone, so that another thread can be sent them. */
export interface SessionOptions {
  /** Tickets after a full handshake; 0: sessions are not resumed. */
  readonly tickets: number;
  /** Seconds that a ticket lives, 1 to 604800. */
  readonly lifetime: number;
  readonly secrets: TicketSecrets;
  /** The table of those that were used, where each resumes one session only; null: a ticket may come again. */
  readonly singleUse: SharedArrayBuffer | null;
}

/** Clients of TLS 1.2 without the ticket extension are few; each costs about 300 bytes here. */
const MAX_CACHED_SESSIONS = 1000;

export class Sessions {
  /** undefined: sessions are not resumed. */
  readonly tickets: SessionTickets | undefined;
  /** For the cookies of HelloRetryRequests, which go by the same keys. */
  readonly cookies: Sealer;
  /**
   * TLS 1.2 sessions by their ids, for clients that take no tickets: of this thread alone, so that with several
   * threads such a client resumes only where it meets the same one. undefined: none, as where a session may resume once.
   */
  readonly cache: SessionCache | undefined;
  readonly #cache: MemorySessionCache | undefined;
  readonly #sealer: TicketSealer;

  /** `now`: milliseconds since the Unix epoch. */
  constructor(provider: CryptoProvider, options: SessionOptions, now: () => number = Date.now) {
    const sealer = new TicketSealer(provider, options.secrets, now);
    this.#sealer = sealer;
    this.cookies = sealer;
    const { lifetime, singleUse } = options;
    const used = singleUse && new SingleUseTable(singleUse, { now, lifetime: 1000 * lifetime });
    if (options.tickets === 0) return;
    if (used === null) {
      this.#cache = new MemorySessionCache({ maxSessions: MAX_CACHED_SESSIONS, lifetime, now });
      this.cache = this.#cache;
    }
    this.tickets = {
      count: options.tickets,
      lifetime,
      now,
      seal: (purpose, plaintext) => sealer.seal(purpose, plaintext),
      open: (purpose, sealed) => sealer.open(purpose, sealed),
      claim: (ticket) => used === null || used.claim(ticket),
    };
  }

  /** For tickets and cookies from now on. */
  replaceSecrets(secrets: TicketSecrets): void {
    this.#sealer.replace(secrets);
  }

  wipe(): void {
    this.#sealer.wipe();
    this.#cache?.clear();
  }
}

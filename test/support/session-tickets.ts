/** Tickets as a server is configured with them, with keys and a clock of the test's own. */
import { randomBytes } from 'node:crypto';
import type { SessionOptions } from '../../src/control/tickets/sessions.ts';
import { open, type SealingKey, type SessionTickets, seal, sealingKey } from '../../src/tls/session/index.ts';
import { nodeCryptoProvider } from './node-crypto-provider.ts';

const provider = nodeCryptoProvider();

export interface TestTickets extends SessionTickets {
  clock: number;
  readonly claimed: Uint8Array[];
}

export function newKey(): SealingKey {
  return sealingKey(provider, Uint8Array.from(randomBytes(32)));
}

export function sessionTickets(
  key: SealingKey = newKey(),
  changes: Partial<SessionTickets> = {},
): TestTickets {
  const tickets: TestTickets = {
    clock: 1_790_000_000_000,
    claimed: [],
    count: 2,
    lifetime: 7200,
    now: () => tickets.clock,
    seal: (purpose, plaintext) => seal(provider, key, purpose, plaintext),
    open: (purpose, sealed) => open(provider, key, purpose, sealed),
    claim: (ticket) => {
      tickets.claimed.push(ticket);
      return true;
    },
    ...changes,
  };
  return tickets;
}

/** As a control thread is given them: no tickets, unless asked for, under a key of its own. */
export function sessionOptions(tickets = 0): SessionOptions {
  return {
    tickets,
    lifetime: 7200,
    secrets: { current: Uint8Array.from(randomBytes(32)), next: [], previous: [] },
    singleUse: null,
  };
}

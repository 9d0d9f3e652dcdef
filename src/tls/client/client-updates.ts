/** What a client keeps for later besides its keys: what a NewSessionTicket is turned into a session with. */
import { copyBytes } from '../bytes.ts';
import { Reader } from '../codec/reader.ts';
import { Writer } from '../codec/writer.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import { ResumptionSecret } from '../schedule/key-schedule.ts';
import type { Suite } from '../suites.ts';
import type { UpdateSecrets } from '../traffic.ts';

export interface ClientUpdates {
  readonly resumption: ResumptionSecret;
  /** Encoded SessionFacts; empty: tickets are not wanted. */
  readonly facts: Uint8Array;
  /** Tickets that are still taken. */
  ticketsLeft: number;
}

/** Sessions that a server may give us over the life of one connection; the rest are read and dropped. */
export const MAX_TICKETS = 32;
/** Format 1 is that of keys alone (traffic.ts). */
const FORMAT = 2;

export function isClientBlob(blob: UpdateSecrets): boolean {
  return blob[0] === FORMAT;
}

/** `keys`: a blob of format 1, which is wiped. `partial`: the first bytes of a message. */
export function packClientUpdates(
  keys: UpdateSecrets,
  { resumption, facts, ticketsLeft }: ClientUpdates,
  partial: Uint8Array,
): UpdateSecrets {
  // Never grown: what it was grown from would keep a copy of the secrets.
  const writer = new Writer(256 + facts.length + partial.length);
  writer.u8(FORMAT);
  writer.vector(1, keys);
  keys.fill(0);
  const secret = writer.open(1);
  resumption.store(writer);
  writer.close(secret, 1);
  writer.u8(ticketsLeft);
  writer.vector(3, facts);
  writer.vector(3, partial);
  return writer.view();
}

/** `keys` alias the blob, the rest are copies. Throws TlsError for a blob that is damaged. */
export function unpackClientUpdates(blob: UpdateSecrets): {
  readonly keys: UpdateSecrets;
  readonly partial: Uint8Array;
  readonly clientWith: (provider: CryptoProvider, suite: Suite) => ClientUpdates;
} {
  const reader = new Reader(blob, 1);
  const keys = reader.bytes8(1);
  const secret = copyBytes(reader.bytes8(32, 48));
  const ticketsLeft = reader.u8();
  const facts = copyBytes(reader.bytes24(0));
  const partial = copyBytes(reader.bytes24(0));
  reader.expectEnd();
  const clientWith = (provider: CryptoProvider, suite: Suite): ClientUpdates => ({
    resumption: new ResumptionSecret(provider, suite, secret),
    facts,
    ticketsLeft,
  });
  return { keys, partial, clientWith };
}

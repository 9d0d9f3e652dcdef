/**
 * What a client must remember to resume a session, as bytes that its caller keeps: opaque to it, and secret. Alike for
 * both versions.
 */
import { joinBytes } from '../bytes.ts';
import { Reader } from '../codec/reader.ts';
import { Writer } from '../codec/writer.ts';
import { TLS12, TLS13 } from '../codepoints.ts';
import { MAX_LIFETIME } from './resumable.ts';
import { MASTER_SECRET_LENGTH } from './session-state.ts';

/** What all tickets of a connection have in common. */
export interface SessionFacts {
  readonly version: number;
  readonly suite: number;
  /** SignatureScheme that the server proved itself with, in the full handshake. */
  readonly scheme: number;
  /** The name that was asked for: a session is offered to no other. */
  readonly serverName: string | undefined;
  /** One character is one byte. */
  readonly alpn: string | undefined;
  /** As the 'verify' event of the full handshake had them; they are shown again when the session is resumed. */
  readonly chain: readonly Uint8Array[];
  readonly ocspResponse: Uint8Array | undefined;
  readonly sctList: Uint8Array | undefined;
}

export interface SessionTicket {
  /** Secret: the resumption PSK (RFC 8446 4.6.1), or the master secret of TLS 1.2. */
  readonly secret: Uint8Array;
  /** Opaque to us; empty in TLS 1.2 when the session goes by its id. */
  readonly ticket: Uint8Array;
  /** TLS 1.2: the session id, at most 32 bytes. Empty in TLS 1.3. */
  readonly sessionId: Uint8Array;
  /** Seconds from `receivedAt`. */
  readonly lifetime: number;
  /** ticket_age_add, a 32-bit number. */
  readonly ageAdd: number;
  /** Milliseconds since the Unix epoch. */
  readonly receivedAt: number;
}

export interface ClientSession extends SessionFacts, SessionTicket {}

const FORMAT = 1;
/** Of the chain and what was stapled to it; a server with more is not resumed with. */
const MAX_PRESENTED = 49_152;
const MIN_SECRET = 32;
const FIXED_BYTES = 600;
const SECOND_WORD = 0x1_0000_0000;

/** undefined: what the server has presented is too long to be kept. */
export function encodeSessionFacts(facts: SessionFacts): Uint8Array | undefined {
  const { chain, ocspResponse, sctList } = facts;
  const parts = [...chain, ocspResponse ?? NOTHING, sctList ?? NOTHING];
  const presented = parts.reduce((sum, { length }) => sum + 3 + length, 0);
  if (presented > MAX_PRESENTED) return undefined;
  const writer = new Writer(FIXED_BYTES + presented);
  writer.u8(FORMAT);
  writer.u16(facts.version);
  writer.u16(facts.suite);
  writer.u16(facts.scheme);
  writeText(writer, facts.serverName);
  writeText(writer, facts.alpn);
  const list = writer.open(3);
  for (const certificate of chain) writer.vector(3, certificate);
  writer.close(list, 3);
  writer.vector(3, ocspResponse ?? NOTHING);
  writer.vector(3, sctList ?? NOTHING);
  return writer.view();
}

/** `facts`: as encoded by `encodeSessionFacts`. The result is secret. */
export function encodeClientSession(facts: Uint8Array, ticket: SessionTicket): Uint8Array {
  const writer = new Writer(FIXED_BYTES + ticket.ticket.length);
  writer.vector(1, ticket.secret);
  writer.vector(2, ticket.ticket);
  writer.vector(1, ticket.sessionId);
  // RFC 8446 4.6.1: "Clients MUST NOT cache tickets for longer than 7 days, regardless of the ticket_lifetime".
  writer.u32(Math.min(ticket.lifetime, MAX_LIFETIME));
  writer.u32(ticket.ageAdd);
  writer.u32(Math.floor(ticket.receivedAt / SECOND_WORD));
  writer.u32(ticket.receivedAt % SECOND_WORD);
  const session = joinBytes([facts, writer.view()]);
  writer.view().fill(0);
  return session;
}

/** undefined: not a session that was encoded here. Copies; `bytes` stays the caller's to wipe. */
export function decodeClientSession(bytes: Uint8Array): ClientSession | undefined {
  try {
    return read(new Reader(Uint8Array.from(bytes)));
  } catch {
    // Of another version of this program, or damaged where it was kept.
    return undefined;
  }
}

function read(reader: Reader): ClientSession | undefined {
  if (reader.u8() !== FORMAT) return undefined;
  const session: ClientSession = {
    version: reader.u16(),
    suite: reader.u16(),
    scheme: reader.u16(),
    serverName: readText(reader),
    alpn: readText(reader),
    chain: readChain(reader),
    ocspResponse: readOptional(reader),
    sctList: readOptional(reader),
    secret: reader.bytes8(MIN_SECRET, MASTER_SECRET_LENGTH),
    ticket: reader.bytes16(0),
    sessionId: reader.bytes8(0, 32),
    lifetime: reader.u32(),
    ageAdd: reader.u32(),
    receivedAt: reader.u32() * SECOND_WORD + reader.u32(),
  };
  reader.expectEnd();
  const isKnown = session.version === TLS13 || session.version === TLS12;
  return isKnown && session.lifetime <= MAX_LIFETIME ? session : undefined;
}

function readChain(reader: Reader): Uint8Array[] {
  const list = reader.nested24(0);
  const chain: Uint8Array[] = [];
  while (list.remaining > 0) chain.push(list.bytes24(1));
  return chain;
}

function readOptional(reader: Reader): Uint8Array | undefined {
  const bytes = reader.bytes24(0);
  return bytes.length === 0 ? undefined : bytes;
}

/** Names are never empty, so that none is an empty one. */
function writeText(writer: Writer, value = ''): void {
  writer.vector(
    1,
    Uint8Array.from(value, (character) => character.charCodeAt(0)),
  );
}

function readText(reader: Reader): string | undefined {
  const bytes = reader.bytes8(0);
  return bytes.length === 0 ? undefined : String.fromCharCode(...bytes);
}

const NOTHING = new Uint8Array(0);

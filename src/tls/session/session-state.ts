/**
 * What a server must remember to resume a session, and its bytes inside a ticket (or a session cache). Everything the
 * session is bound to is in it, so that a ticket is of no use anywhere but where it was made.
 */
import { Reader } from '../codec/reader.ts';
import { Writer } from '../codec/writer.ts';
import { TLS12, TLS13 } from '../codepoints.ts';

interface SessionCommon {
  readonly suite: number;
  /** NamedGroup of the key exchange and SignatureScheme of the server, for what is reported of a resumed one. */
  readonly group: number;
  readonly scheme: number;
  /** Milliseconds since the Unix epoch: when this ticket was made, and when the full handshake before it was. */
  readonly issuedAt: number;
  readonly authenticatedAt: number;
  /** Seconds that the client was told. */
  readonly lifetime: number;
  /** Secret: the resumption PSK (RFC 8446 4.6.1), or the master secret of TLS 1.2. */
  readonly secret: Uint8Array;
  readonly serverName: string | undefined;
  /** One character is one byte. */
  readonly alpn: string | undefined;
  /** SHA-256 of the leaf that the server proved itself with. */
  readonly identity: Uint8Array;
  /** SHA-256 over the policy it was made under (client authentication above all); the caller's to compute. */
  readonly context: Uint8Array;
  /** The client's certificates, DER, leaf first; empty: it was not authenticated. */
  readonly peerCertificates: readonly Uint8Array[];
}

export interface SessionState13 extends SessionCommon {
  readonly version: typeof TLS13;
}

/** Made only with the extended master secret: without it a session is never resumed (RFC 7627 5.3). */
export interface SessionState12 extends SessionCommon {
  readonly version: typeof TLS12;
  /** Session id that the client knows it by, at most 32 bytes; empty: by its ticket. */
  readonly sessionId: Uint8Array;
}

export type SessionState = SessionState12 | SessionState13;

const FORMAT = 1;
const HASH_LENGTH = 32;
/** Of TLS 1.2 (RFC 5246 8.1). */
export const MASTER_SECRET_LENGTH = 48;
/** A chain that is longer makes no ticket: a ClientHello has to carry it. */
const MAX_PEER_CERTIFICATES = 8192;
/** All but the chain, names of the greatest length included: a buffer that grows would leave a copy of the secret. */
const FIXED_BYTES = 768;
const SECOND_WORD = 0x1_0000_0000;

/** undefined: the client's certificates are too long for a ticket. The result is secret. */
export function encodeSessionState(state: SessionState): Uint8Array | undefined {
  const chainLength = state.peerCertificates.reduce((sum, { length }) => sum + 3 + length, 0);
  if (chainLength > MAX_PEER_CERTIFICATES) return undefined;
  const writer = new Writer(FIXED_BYTES + chainLength);
  writer.u8(FORMAT);
  writer.u16(state.version);
  writer.u16(state.suite);
  writer.u16(state.group);
  writer.u16(state.scheme);
  time(writer, state.issuedAt);
  time(writer, state.authenticatedAt);
  u32(writer, state.lifetime);
  vector8(writer, state.secret);
  text(writer, state.serverName);
  text(writer, state.alpn);
  writer.bytes(state.identity);
  writer.bytes(state.context);
  const chain = writer.open(2);
  for (const certificate of state.peerCertificates) {
    const der = writer.open(3);
    writer.bytes(certificate);
    writer.close(der, 3);
  }
  writer.close(chain, 2);
  if (state.version === TLS12) vector8(writer, state.sessionId);
  const bytes = writer.view().slice();
  writer.view().fill(0);
  return bytes;
}

/** undefined: not a state that was encoded here. Copies; `bytes` stays the caller's to wipe. */
export function decodeSessionState(bytes: Uint8Array): SessionState | undefined {
  try {
    return read(new Reader(bytes));
  } catch {
    // Sealed by us and yet not ours: another version of this program.
    return undefined;
  }
}

function read(reader: Reader): SessionState | undefined {
  if (reader.u8() !== FORMAT) return undefined;
  const version = reader.u16();
  const common = {
    suite: reader.u16(),
    group: reader.u16(),
    scheme: reader.u16(),
    issuedAt: readTime(reader),
    authenticatedAt: readTime(reader),
    lifetime: readU32(reader),
    secret: Uint8Array.from(reader.bytes8(HASH_LENGTH, MASTER_SECRET_LENGTH)),
    serverName: readText(reader),
    alpn: readText(reader),
    identity: Uint8Array.from(reader.bytes(HASH_LENGTH)),
    context: Uint8Array.from(reader.bytes(HASH_LENGTH)),
    peerCertificates: readChain(reader),
  };
  const sessionId = version === TLS12 ? Uint8Array.from(reader.bytes8(0, 32)) : undefined;
  reader.expectEnd();
  if (version === TLS13) return { ...common, version: TLS13 };
  if (sessionId === undefined || common.secret.length !== MASTER_SECRET_LENGTH) return undefined;
  return { ...common, version: TLS12, sessionId };
}

function readChain(reader: Reader): Uint8Array[] {
  const list = reader.nested16(0);
  const chain: Uint8Array[] = [];
  while (list.remaining > 0) chain.push(Uint8Array.from(list.bytes24(1)));
  return chain;
}

function vector8(writer: Writer, bytes: Uint8Array): void {
  const vector = writer.open(1);
  writer.bytes(bytes);
  writer.close(vector, 1);
}

/** Names are never empty, so that none is an empty one. */
function text(writer: Writer, value = ''): void {
  const vector = writer.open(1);
  for (let i = 0; i < value.length; i++) writer.u8(value.charCodeAt(i));
  writer.close(vector, 1);
}

function readText(reader: Reader): string | undefined {
  const bytes = reader.bytes8(0);
  return bytes.length === 0 ? undefined : String.fromCharCode(...bytes);
}

function u32(writer: Writer, value: number): void {
  writer.u16(value >>> 16);
  writer.u16(value & 0xffff);
}

function readU32(reader: Reader): number {
  return reader.u16() * 0x1_0000 + reader.u16();
}

function time(writer: Writer, value: number): void {
  u32(writer, Math.floor(value / SECOND_WORD));
  u32(writer, value % SECOND_WORD);
}

function readTime(reader: Reader): number {
  return readU32(reader) * SECOND_WORD + readU32(reader);
}

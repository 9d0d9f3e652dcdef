/**
 * The cookie of a HelloRetryRequest (RFC 8446 4.2.2): all that is left of the first ClientHello. With it a server needs
 * no memory of the first one, and any server with the same keys can go on.
 */
import type { ClientHello } from '../codec/client-hello.ts';
import { Reader } from '../codec/reader.ts';
import { Writer } from '../codec/writer.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import type { Sealer } from '../session/api.ts';
import { open, SEALING_KEY_LENGTH, seal, sealingKey } from '../session/sealed.ts';

export interface RetryState {
  readonly suite: number;
  readonly group: number;
  /** Transcript hash of the first ClientHello, by the suite's hash. */
  readonly firstHello: Uint8Array;
  /** `fingerprintOf` the first ClientHello. */
  readonly fingerprint: Uint8Array;
}

const FORMAT = 1;
/** A client answers at once; what is older was kept for something else. */
const LIFETIME_MS = 60_000;
const FINGERPRINT_LENGTH = 32;

export function sealCookie(sealer: Sealer, state: RetryState): Uint8Array | undefined {
  const writer = new Writer(128);
  const seconds = Math.floor(sealer.now() / 1000);
  writer.u8(FORMAT);
  writer.u32(seconds);
  writer.u16(state.suite);
  writer.u16(state.group);
  writer.vector(1, state.firstHello);
  writer.bytes(state.fingerprint);
  return sealer.seal('cookie', writer.view());
}

/** undefined: not one of ours, or too old. */
export function openCookie(sealer: Sealer, cookie: Uint8Array): RetryState | undefined {
  const plaintext = sealer.open('cookie', cookie);
  if (plaintext === undefined) return undefined;
  const reader = new Reader(plaintext);
  if (reader.u8() !== FORMAT) return undefined;
  const age = sealer.now() - 1000 * reader.u32();
  if (Math.abs(age) > LIFETIME_MS) return undefined;
  const suite = reader.u16();
  const group = reader.u16();
  return {
    suite,
    group,
    firstHello: reader.bytes8(32, 48),
    fingerprint: reader.bytes(FINGERPRINT_LENGTH),
  };
}

/** For one connection, when nobody has given keys. */
export function ephemeralSealer(provider: CryptoProvider): Sealer {
  const key = sealingKey(provider, Uint8Array.from(provider.randomBytes(SEALING_KEY_LENGTH)));
  return {
    now: () => 0,
    seal: (purpose, plaintext) => seal(provider, key, purpose, plaintext),
    open: (purpose, sealed) => open(provider, key, purpose, sealed),
  };
}

/**
 * A digest of what a second hello must repeat (RFC 8446 4.1.2). It covers what is understood: of other extensions some
 * may change for reasons of their own (padding, encrypted_client_hello).
 */
export function fingerprintOf(provider: CryptoProvider, hello: ClientHello): Uint8Array {
  const writer = new Writer(512);
  writer.u16(hello.legacyVersion);
  writer.bytes(hello.random);
  writer.vector(1, hello.sessionId);
  writer.list16(2, hello.cipherSuites);
  writer.vector(1, hello.compressionMethods);
  writer.u8(hello.namesServer ? 1 : 0);
  writeText(writer, hello.serverName);
  for (const list of [hello.supportedGroups, hello.signatureAlgorithms, hello.supportedVersions]) {
    writer.u8(list === undefined ? 0 : 1);
    writer.list16(2, list ?? []);
  }
  writer.u8(hello.alpn === undefined ? 0 : 1);
  writer.u16(hello.alpn?.length ?? 0);
  for (const name of hello.alpn ?? []) writeText(writer, name);
  writer.u8(hello.pskModes === undefined ? 0 : 1);
  writer.vector(1, hello.pskModes ?? new Uint8Array(0));
  writer.u16(hello.recordSizeLimit ?? 0);
  return provider.hash('sha256', writer.view());
}

/** One character is one byte. */
function writeText(writer: Writer, text = ''): void {
  const start = writer.open(2);
  for (let i = 0; i < text.length; i++) writer.u8(text.charCodeAt(i));
  writer.close(start, 2);
}

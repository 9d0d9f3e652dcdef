import { TlsError } from './alerts.ts';
import type { CertificateRefusal, HandshakeConfig, HandshakeEvent } from './api.ts';
import { joinBytes } from './bytes.ts';
import { ContentType } from './codepoints.ts';
import type { CryptoProvider } from './crypto-provider.ts';
import { type Aligned, HandshakeJoiner, type HandshakeMessage } from './handshake-joiner.ts';
import { RecordReader } from './records/record-reader.ts';
import { RecordWriter } from './records/record-writer.ts';

/**
 * A state waits for one thing and holds only what it needs to take it. Taking it gives the next state; anything
 * else is unexpected_message, which is what this base answers. `Expect…` is named for the message it waits for,
 * as in RFC 8446 appendix A.
 */
export abstract class State<Config extends HandshakeConfig> {
  abstract readonly name: string;

  // RFC 8446 4: "A peer which receives a handshake message in an unexpected order MUST abort the handshake with an
  // "unexpected_message" alert." RFC 8446 4.6.3: so does one that receives "a KeyUpdate message prior to receiving a
  // Finished message".
  // RFC 5246 7.4: "presented below in the order they MUST be sent".
  receive(_message: HandshakeMessage, _connection: Connection<Config>): State<Config> {
    throw new TlsError('unexpected_handshake_message');
  }

  /**
   * A well-formed ChangeCipherSpec came, unprotected and between messages. RFC 8446 5: "before the first ClientHello
   * message or after the peer's Finished message, it MUST be treated as an unexpected record type".
   */
  changeCipherSpec(_connection: Connection<Config>, _aligned: Aligned): State<Config> {
    throw new TlsError('unexpected_change_cipher_spec');
  }

  /** Zeroises what the state holds; called when the handshake ends in it. */
  wipe(): void {}
}

/**
 * RFC 8446 5: a ChangeCipherSpec between the first hello and the Finished says nothing: "MUST simply drop it without
 * further processing".
 */
export abstract class Tls13State<Config extends HandshakeConfig> extends State<Config> {
  override changeCipherSpec(connection: Connection<Config>, _aligned: Aligned): State<Config> {
    connection.dropChangeCipherSpec();
    return this;
  }
}

/** A signature is being made, perhaps elsewhere; no record is read meanwhile. */
export interface AwaitsSignature<Config extends HandshakeConfig> extends State<Config> {
  sign(signature: Uint8Array, connection: Connection<Config>): State<Config>;
}

/** The caller looks at the peer's certificate; no record is read meanwhile. */
export interface AwaitsVerification<Config extends HandshakeConfig> extends State<Config> {
  verified(refusal: CertificateRefusal | undefined, connection: Connection<Config>): State<Config>;
}

export function awaitsSignature<C extends HandshakeConfig>(state: State<C>): state is AwaitsSignature<C> {
  return 'sign' in state;
}

export function awaitsVerification<C extends HandshakeConfig>(
  state: State<C>,
): state is AwaitsVerification<C> {
  return 'verified' in state;
}

/** The handshake is over, one way or the other; nothing is read any more. */
export class Closed<Config extends HandshakeConfig> extends State<Config> {
  readonly name = 'Closed';
}

/** As rustls: an honest peer sends one. */
const MAX_CHANGE_CIPHER_SPECS = 2;

/** What all states of one handshake share: its two ends and its configuration. */
export class Connection<Config extends HandshakeConfig> {
  readonly config: Config;
  readonly provider: CryptoProvider;
  readonly reader: RecordReader;
  readonly writer: RecordWriter;
  readonly joiner: HandshakeJoiner;
  /** The negotiated version; 0 until there is one. */
  version = 0;
  /** While the peer may not have the keys that our reader has: it answers a hello that it dislikes in plaintext. */
  takesPlaintextAlerts = true;
  #events: HandshakeEvent[] = [];
  #sentChangeCipherSpec = false;
  #droppedChangeCipherSpecs = 0;

  constructor(config: Config, provider: CryptoProvider) {
    this.config = config;
    this.provider = provider;
    this.reader = new RecordReader(provider);
    this.writer = new RecordWriter(provider);
    this.joiner = new HandshakeJoiner(config.maxHandshakeBytes);
  }

  emit(event: HandshakeEvent): void {
    this.#events.push(event);
  }

  takeEvents(): HandshakeEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  send(parts: readonly Uint8Array[]): void {
    this.emit({ type: 'send', bytes: joinBytes(parts) });
  }

  writeHandshake(messages: Uint8Array, parts: Uint8Array[]): void {
    this.writer.write(ContentType.handshake, messages, parts);
  }

  /**
   * RFC 8446 D.4: right after the first handshake message, once, when the client runs in compatibility mode,
   * which it shows by a session id.
   * RFC 8446 D.4: "if the client sends a non-empty session ID, the server MUST send the change_cipher_spec".
   */
  writeCompatibilityChangeCipherSpec(sessionId: Uint8Array, parts: Uint8Array[]): void {
    if (this.#sentChangeCipherSpec || sessionId.length === 0) return;
    this.#sentChangeCipherSpec = true;
    this.writer.writeChangeCipherSpec(parts);
  }

  /**
   * RFC 8446 D.4: a client's goes right before its second flight, "This may either be before its second ClientHello
   * or before its encrypted handshake flight", also when all of that is an alert.
   */
  oweCompatibilityChangeCipherSpec(sessionId: Uint8Array): void {
    if (this.#sentChangeCipherSpec || sessionId.length === 0) return;
    this.#sentChangeCipherSpec = true;
    this.writer.oweChangeCipherSpec();
  }

  dropChangeCipherSpec(): void {
    if (++this.#droppedChangeCipherSpecs > MAX_CHANGE_CIPHER_SPECS) {
      throw new TlsError('too_many_change_cipher_specs');
    }
  }

  wipe(): void {
    this.reader.wipe();
    this.writer.wipe();
  }
}

// RFC 8446 4.5: of EndOfEarlyData, "Servers MUST NOT send this message, and clients receiving it MUST terminate the
// connection".
export function requireType(message: HandshakeMessage, type: number): void {
  if (message.type !== type) throw new TlsError('unexpected_handshake_message');
}

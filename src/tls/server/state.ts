import { TlsError } from '../alerts.ts';
import { joinBytes } from '../bytes.ts';
import { ContentType } from '../codepoints.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import { HandshakeJoiner, type HandshakeMessage } from '../handshake-joiner.ts';
import { RecordReader, RecordWriter } from '../records.ts';
import type { ServerConfig, ServerEvent } from './api.ts';

/**
 * A state waits for one thing and holds only what it needs to take it. Taking it gives the next state; anything
 * else is unexpected_message. `Expect…` is named for the message it waits for, as in RFC 8446 appendix A.2.
 */
export interface ServerState {
  readonly name: string;
  receive(message: HandshakeMessage, connection: Connection): ServerState;
  /** Zeroises what the state holds; called when the handshake ends in it. */
  wipe(): void;
}

/** What all states of one handshake share: its two ends and its configuration. */
export class Connection {
  readonly config: ServerConfig;
  readonly provider: CryptoProvider;
  readonly reader: RecordReader;
  readonly writer: RecordWriter;
  readonly joiner: HandshakeJoiner;
  #events: ServerEvent[] = [];
  #sentChangeCipherSpec = false;

  constructor(config: ServerConfig, provider: CryptoProvider) {
    this.config = config;
    this.provider = provider;
    this.reader = new RecordReader(provider);
    this.writer = new RecordWriter(provider);
    this.joiner = new HandshakeJoiner(config.maxHandshakeBytes);
  }

  emit(event: ServerEvent): void {
    this.#events.push(event);
  }

  takeEvents(): ServerEvent[] {
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
   */
  writeChangeCipherSpec(sessionId: Uint8Array, parts: Uint8Array[]): void {
    if (this.#sentChangeCipherSpec || sessionId.length === 0) return;
    this.#sentChangeCipherSpec = true;
    this.writer.writeChangeCipherSpec(parts);
  }

  wipe(): void {
    this.reader.wipe();
    this.writer.wipe();
  }
}

export function requireType(message: HandshakeMessage, type: number): void {
  if (message.type !== type) throw new TlsError('unexpected_handshake_message');
}

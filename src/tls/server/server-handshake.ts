/**
 * A TLS 1.3 server handshake, sans-IO: bytes in, events out; no socket, timer or promise.
 *
 *     const handshake = new ServerHandshake(config, provider);
 *     for (const event of handshake.receive(bytes)) …  // 'send', 'sign', 'established' or 'fail'
 *
 * Nothing a peer sends makes a method throw. After 'established' or 'fail' there are no more events.
 */
import { alertFor, asTlsError, TlsError } from '../alerts.ts';
import { joinBytes } from '../bytes.ts';
import { AlertDescription, ContentType } from '../codepoints.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import type { Record } from '../records.ts';
import type { ServerConfig, ServerEvent } from './api.ts';
import { AwaitSignature } from './await-signature.ts';
import { Closed } from './closed.ts';
import { ExpectClientHello } from './expect-client-hello.ts';
import { Connection, type ServerState } from './state.ts';

/** As rustls: an honest client sends one. */
const MAX_CHANGE_CIPHER_SPECS = 2;
/** As BoringSSL and rustls. */
const MAX_WARNING_ALERTS = 4;
const ALERT_LEVEL_WARNING = 1;
const ALERT_LEVEL_FATAL = 2;
/** Input kept while a signature is made, beyond maxHandshakeBytes: early data that will be skipped. */
const WAITING_ALLOWANCE = 20_480;

export class ServerHandshake {
  readonly #connection: Connection;
  #state: ServerState = new ExpectClientHello();
  #changeCipherSpecs = 0;
  #warningAlerts = 0;

  constructor(config: ServerConfig, provider: CryptoProvider) {
    this.#connection = new Connection(config, provider);
  }

  /** Name of the state, for logs and tests. */
  get state(): string {
    return this.#state.name;
  }

  /** Bytes from the wire, in any portions. They may be reused after the call. */
  receive(bytes: Uint8Array): ServerEvent[] {
    if (this.#state instanceof Closed) return [];
    this.#connection.reader.push(bytes);
    return this.#run();
  }

  /** Answers the 'sign' event. Throws ERR_SOCRYPT_TLS_NOT_SIGNING when there is none to answer. */
  provideSignature(signature: Uint8Array): ServerEvent[] {
    const state = this.#state;
    if (state instanceof Closed) return [];
    if (!(state instanceof AwaitSignature)) {
      throw Object.assign(
        new Error(
          `expected provideSignature after a sign event, called in ${state.name}; call it once per sign event`,
        ),
        { code: 'ERR_SOCRYPT_TLS_NOT_SIGNING' },
      );
    }
    try {
      this.#state = state.sign(signature, this.#connection);
    } catch (thrown) {
      this.#fail(thrown);
      return this.#connection.takeEvents();
    }
    return this.#run();
  }

  /** The signature could not be made, or the caller gives up: ends the handshake with an internal_error alert. */
  abort(): ServerEvent[] {
    if (!(this.#state instanceof Closed)) this.#fail(new TlsError('internal_error'));
    return this.#connection.takeEvents();
  }

  /** The transport is gone: zeroises what there is. No events. */
  destroy(): void {
    this.#state.wipe();
    this.#state = new Closed();
    this.#connection.wipe();
  }

  #run(): ServerEvent[] {
    const connection = this.#connection;
    try {
      while (!(this.#state instanceof AwaitSignature || this.#state instanceof Closed)) {
        const record = connection.reader.next();
        if (record === undefined) break;
        if (connection.reader.bytesRead > connection.config.maxHandshakeBytes) {
          throw new TlsError('handshake_too_long');
        }
        this.#process(record);
      }
      if (connection.reader.waiting > connection.config.maxHandshakeBytes + WAITING_ALLOWANCE) {
        throw new TlsError('handshake_too_long');
      }
      connection.joiner.settle();
      connection.reader.settle();
    } catch (thrown) {
      this.#fail(thrown);
    }
    return connection.takeEvents();
  }

  #process(record: Record): void {
    switch (record.type) {
      case ContentType.handshake:
        this.#handshake(record);
        return;
      case ContentType.changeCipherSpec:
        this.#changeCipherSpec(record);
        return;
      case ContentType.alert:
        this.#alert(record);
        return;
      case ContentType.applicationData:
        throw new TlsError('application_data_in_handshake');
      default:
        throw new TlsError('unknown_content_type');
    }
  }

  #handshake(record: Record): void {
    const { joiner, reader } = this.#connection;
    if (record.isProtected !== reader.isProtected) throw new TlsError('plaintext_handshake_record');
    if (record.content.length === 0) throw new TlsError('empty_handshake_fragment');
    joiner.push(record.content);
    for (let message = joiner.next(); message !== undefined; message = joiner.next()) {
      this.#state = this.#state.receive(message, this.#connection);
    }
    // The content may alias the input buffer, and a later record of this same input must not overwrite it.
    joiner.settle();
  }

  /** RFC 8446 5: one byte of 1, between the first hello and the Finished, unprotected; it says nothing. */
  #changeCipherSpec(record: Record): void {
    if (record.isProtected) throw new TlsError('encrypted_change_cipher_spec');
    if (record.content.length !== 1 || record.content[0] !== 1) throw new TlsError('bad_change_cipher_spec');
    this.#refuseBetweenFragments();
    if (this.#state instanceof ExpectClientHello) throw new TlsError('change_cipher_spec_before_hello');
    if (++this.#changeCipherSpecs > MAX_CHANGE_CIPHER_SPECS)
      throw new TlsError('too_many_change_cipher_specs');
  }

  /**
   * An alert is taken in plaintext too while the client may not have our keys: it sends one when it dislikes
   * the ServerHello.
   */
  #alert(record: Record): void {
    const { content } = record;
    if (content.length !== 2) throw new TlsError('malformed_alert');
    const level = content[0]!;
    const description = content[1]!;
    if (level !== ALERT_LEVEL_WARNING && level !== ALERT_LEVEL_FATAL) throw new TlsError('malformed_alert');
    // RFC 8446 6: the level is ignored, all but these two are errors, and close_notify follows user_canceled.
    if (description === AlertDescription.closeNotify) throw new TlsError('peer_closed');
    if (description !== AlertDescription.userCanceled) throw new TlsError('peer_alert', description);
    this.#refuseBetweenFragments();
    if (++this.#warningAlerts > MAX_WARNING_ALERTS) throw new TlsError('too_many_warning_alerts');
  }

  /** RFC 8446 5.1: "there MUST NOT be any other records between" the records of one message. */
  #refuseBetweenFragments(): void {
    if (!this.#connection.joiner.isEmpty) throw new TlsError('record_between_handshake_fragments');
  }

  /** The one place where an error becomes an alert. */
  #fail(thrown: unknown): void {
    const connection = this.#connection;
    const { reason, received } = asTlsError(thrown);
    const alert = alertFor(reason);
    const parts: Uint8Array[] = [];
    if (alert !== undefined) {
      const level = alert === AlertDescription.closeNotify ? ALERT_LEVEL_WARNING : ALERT_LEVEL_FATAL;
      connection.writer.write(ContentType.alert, Uint8Array.of(level, alert), parts);
    }
    this.#state.wipe();
    this.#state = new Closed();
    connection.wipe();
    connection.emit({ type: 'fail', reason, alert, received, bytes: joinBytes(parts) });
  }
}

/**
 * The machine that both roles of a handshake share, sans-IO: bytes in, events out; no socket, timer or promise.
 *
 *     const handshake = new ServerHandshake(config, provider);
 *     for (const event of handshake.receive(bytes)) …  // 'send', 'sign', 'verify', 'established' or 'fail'
 *
 * Nothing a peer sends makes a method throw. After 'established' or 'fail' there are no more events.
 */
import { alertFor, asTlsError, TlsError } from './alerts.ts';
import type { CertificateRefusal, HandshakeConfig, HandshakeEvent } from './api.ts';
import { joinBytes } from './bytes.ts';
import { AlertDescription, ContentType, TLS12 } from './codepoints.ts';
import type { CryptoProvider } from './crypto-provider.ts';
import type { Record } from './records/record-reader.ts';
import { awaitsSignature, awaitsVerification, Closed, Connection, type State } from './state.ts';

/** As BoringSSL and rustls. */
const MAX_WARNING_ALERTS = 4;
const ALERT_LEVEL_WARNING = 1;
const ALERT_LEVEL_FATAL = 2;
/** Input kept while the caller answers, beyond maxHandshakeBytes: early data that will be skipped. */
const WAITING_ALLOWANCE = 20_480;

export abstract class Handshake<Config extends HandshakeConfig> {
  protected readonly connection: Connection<Config>;
  #state: State<Config>;
  #warningAlerts = 0;

  protected constructor(config: Config, provider: CryptoProvider, first: State<Config>) {
    this.connection = new Connection(config, provider);
    this.#state = first;
  }

  /** Name of the state, for logs and tests. */
  get state(): string {
    return this.#state.name;
  }

  /** A client speaks first; a server has nothing to say here. */
  start(): HandshakeEvent[] {
    return [];
  }

  /** Bytes from the wire, in any portions. They may be reused after the call. */
  receive(bytes: Uint8Array): HandshakeEvent[] {
    if (this.#state instanceof Closed) return [];
    this.connection.reader.push(bytes);
    return this.#run();
  }

  /** Answers the 'sign' event. Throws ERR_SOCRYPT_TLS_NOT_SIGNING when there is none to answer. */
  provideSignature(signature: Uint8Array): HandshakeEvent[] {
    return this.advance((state) => {
      if (awaitsSignature(state)) return state.sign(signature, this.connection);
      throw notAsked('ERR_SOCRYPT_TLS_NOT_SIGNING', 'provideSignature after a sign event', state.name);
    });
  }

  /**
   * Answers the 'verify' event: undefined, or why the certificate is refused. Throws
   * ERR_SOCRYPT_TLS_NOT_VERIFYING when there is none to answer.
   */
  provideVerification(refusal: CertificateRefusal | undefined): HandshakeEvent[] {
    return this.advance((state) => {
      if (awaitsVerification(state)) return state.verified(refusal, this.connection);
      throw notAsked('ERR_SOCRYPT_TLS_NOT_VERIFYING', 'provideVerification after a verify event', state.name);
    });
  }

  /** The caller gives up, or could not answer: ends the handshake with an internal_error alert. */
  abort(): HandshakeEvent[] {
    if (!(this.#state instanceof Closed)) this.#fail(new TlsError('internal_error'));
    return this.connection.takeEvents();
  }

  /** The transport has ended, and with it the handshake. */
  end(): HandshakeEvent[] {
    if (!(this.#state instanceof Closed)) this.#fail(new TlsError('truncated'));
    return this.connection.takeEvents();
  }

  /** The transport is gone: zeroises what there is. No events. */
  destroy(): void {
    this.#state.wipe();
    this.#state = new Closed();
    this.connection.wipe();
  }

  /** A step that the caller, not the peer, makes. */
  protected advance(step: (state: State<Config>) => State<Config>): HandshakeEvent[] {
    if (this.#state instanceof Closed) return [];
    try {
      this.#state = step(this.#state);
    } catch (thrown) {
      if (thrown instanceof NotAskedError) throw thrown;
      this.#fail(thrown);
      return this.connection.takeEvents();
    }
    return this.#run();
  }

  #run(): HandshakeEvent[] {
    const { connection } = this;
    try {
      while (this.#reads()) {
        const message = connection.joiner.next();
        if (message !== undefined) {
          this.#state = this.#state.receive(message, connection);
          continue;
        }
        // The joiner may borrow the input, which a later record of it must not overwrite.
        connection.joiner.settle();
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

  #reads(): boolean {
    const state = this.#state;
    return !(state instanceof Closed || awaitsSignature(state) || awaitsVerification(state));
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
        // RFC 8446 5: "If a TLS implementation receives an unexpected record type, it MUST terminate the connection".
        // RFC 5246 6: "If a TLS implementation receives an unexpected record type, it MUST send an unexpected_message
        // alert."
        throw new TlsError('unknown_content_type');
    }
  }

  #handshake(record: Record): void {
    const { joiner, reader } = this.connection;
    if (record.isProtected !== reader.isProtected) throw new TlsError('plaintext_handshake_record');
    if (record.content.length === 0) throw new TlsError('empty_handshake_fragment');
    joiner.push(record.content);
  }

  /** One byte of 1, unprotected and between messages; what it means is the state's business. */
  #changeCipherSpec(record: Record): void {
    // RFC 8446 5: "which receives any other change_cipher_spec value or which receives a protected change_cipher_spec
    // record MUST abort the handshake with an "unexpected_message" alert".
    if (record.isProtected) throw new TlsError('encrypted_change_cipher_spec');
    if (record.content.length !== 1 || record.content[0] !== 1) throw new TlsError('bad_change_cipher_spec');
    this.#refuseBetweenFragments();
    const { connection } = this;
    this.#state = this.#state.changeCipherSpec(connection, connection.joiner.requireAligned());
  }

  #alert(record: Record): void {
    const { content } = record;
    const { reader, takesPlaintextAlerts } = this.connection;
    if (!(record.isProtected || takesPlaintextAlerts) && reader.isProtected) {
      throw new TlsError('plaintext_alert');
    }
    // RFC 8446 5.4: "Handshake and Alert records that have a zero-length TLSInnerPlaintext.content; if such a message
    // is received, the receiving implementation MUST terminate the connection with an "unexpected_message" alert".
    if (content.length === 0) throw new TlsError('empty_alert');
    // RFC 8446 5.1: "a record with an Alert type MUST contain exactly one message"; RFC 8446 5.1: "Alert messages
    // (Section 6) MUST NOT be fragmented across records".
    if (content.length !== 2) throw new TlsError('malformed_alert');
    const level = content[0]!;
    const description = content[1]!;
    if (level !== ALERT_LEVEL_WARNING && level !== ALERT_LEVEL_FATAL) throw new TlsError('bad_alert_level');
    if (description === AlertDescription.closeNotify) throw new TlsError('peer_closed');
    // RFC 8446 6: the level is ignored, all but these two are errors, and close_notify follows user_canceled.
    // RFC 5246 7.2.2: after a warning "generally the connection can continue normally".
    const isWarning = this.#heedsAlertLevel()
      ? level === ALERT_LEVEL_WARNING
      : description === AlertDescription.userCanceled;
    if (!isWarning) throw new TlsError('peer_alert', description);
    this.#refuseBetweenFragments();
    if (++this.#warningAlerts > MAX_WARNING_ALERTS) throw new TlsError('too_many_warning_alerts');
  }

  /** In TLS 1.2, and as long as it may become that: a server sends unrecognized_name before its hello. */
  #heedsAlertLevel(): boolean {
    const { version, config } = this.connection;
    return version === 0 ? config.versions.includes(TLS12) : version === TLS12;
  }

  /** RFC 8446 5.1: "there MUST NOT be any other records between" the records of one message. */
  #refuseBetweenFragments(): void {
    if (!this.connection.joiner.isEmpty) throw new TlsError('record_between_handshake_fragments');
  }

  /**
   * The one place where an error becomes an alert. RFC 8446 6.2: "both parties MUST immediately close the
   * connection", "MUST close the connection without sending or receiving any additional data". RFC 8446 6: "MUST
   * forget the secret values and keys established in failed connections".
   */
  #fail(thrown: unknown): void {
    const { connection } = this;
    const { reason, received } = asTlsError(thrown);
    const alert = alertFor(reason);
    const parts: Uint8Array[] = [];
    if (alert !== undefined) {
      // RFC 8446 6: "All the alerts listed in Section 6.2 MUST be sent with AlertLevel=fatal". RFC 5246 7.2.2: "MUST
      // send the appropriate alert prior to closing the connection", "MUST send that alert at the fatal alert level".
      const level = alert === AlertDescription.closeNotify ? ALERT_LEVEL_WARNING : ALERT_LEVEL_FATAL;
      connection.writer.write(ContentType.alert, Uint8Array.of(level, alert), parts);
    }
    this.#state.wipe();
    this.#state = new Closed();
    connection.wipe();
    connection.emit({ type: 'fail', reason, alert, received, bytes: joinBytes(parts) });
  }
}

/** The caller's fault, not the peer's: it leaves the handshake as it is. */
class NotAskedError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

function notAsked(code: string, expected: string, state: string): NotAskedError {
  return new NotAskedError(code, `expected ${expected}, called in ${state}; call it once per event`);
}

/**
 * The application data of an established connection, by the TypeScript record layer: the same rules as the data
 * plane's (native/engine), for connections that do not run there, and for judging them by other people's suites.
 */
import { alertFor, asTlsError, TlsError } from '../alerts.ts';
import type { HandshakeEvent } from '../api.ts';
import { joinBytes } from '../bytes.ts';
import { AlertDescription, ContentType, HandshakeType, MAX_PLAINTEXT, TLS13 } from '../codepoints.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import { alignedAt } from '../handshake-joiner.ts';
import { PostHandshake, type TxUpdate } from '../post-handshake.ts';
import { type Record, RecordReader } from '../records/record-reader.ts';
import { RecordWriter } from '../records/record-writer.ts';
import { suiteById } from '../suites.ts';
import { type TrafficSecret, wipe } from '../traffic.ts';
import type { ConnectionEvent, ConnectionOptions } from './api.ts';

/** 2^24.5, rounded down (RFC 8446 5.5). */
const AES_GCM_RECORD_LIMIT = 23_726_566;
/** The counter of a Protection ends there. */
const COUNTER_LIMIT = 0xffff_fffe;
/**
 * Steps in a row that bring no application data: empty records, warnings and KeyUpdates alike, since a peer that alternates
 * them would reset one count by the other (BoringSSL e40836f3c). A handshake message counts once, in however many records it
 * comes; tickets, of which a server may send a few before it says anything, have a count of their own.
 */
const MAX_WITHOUT_PROGRESS = 32;
/** Warnings are rarer than that; as in a handshake. */
const MAX_WARNING_ALERTS = 4;
/** An alert is owed to the peer even when its key is used up. */
const RESERVED_RECORDS = 2;
const WARNING = 1;
const FATAL = 2;

type Established = Extract<HandshakeEvent, { type: 'established' }>;

export class ApplicationTraffic {
  readonly #version: number;
  readonly #reader: RecordReader;
  readonly #writer: RecordWriter;
  /** undefined in TLS 1.2, where nothing follows a handshake. */
  readonly #postHandshake: PostHandshake | undefined;
  readonly #recordLimit: number;
  #events: ConnectionEvent[] = [];
  #withoutProgress = 0;
  #ticketsWithoutProgress = 0;
  /** A KeyUpdate has been answered, and no application data sent since. */
  #answered = false;
  #warnings = 0;
  #updateRequested = false;
  #sentClose = false;
  #over = false;

  /** Takes the keys of `established` over and wipes them there. `now`: see PostHandshake.open. */
  constructor(
    established: Established,
    provider: CryptoProvider,
    options: ConnectionOptions,
    now: (() => number) | undefined,
  ) {
    const { tx, rx, update, info } = established;
    this.#version = info.version;
    this.#reader = new RecordReader(provider);
    this.#writer = new RecordWriter(provider);
    this.#installRx(rx);
    this.#installTx(tx);
    this.#postHandshake = info.version === TLS13 ? PostHandshake.open(update, provider, now) : undefined;
    wipe(update);
    this.#recordLimit = options.recordLimit ?? defaultRecordLimit(info.suite);
  }

  receive(bytes: Uint8Array): ConnectionEvent[] {
    if (this.#over) return [];
    try {
      this.#reader.push(bytes);
      for (let record = this.#reader.next(); record !== undefined; record = this.#reader.next()) {
        this.#process(record);
        if (this.#over) break;
      }
      this.#reader.settle();
    } catch (thrown) {
      this.#fail(thrown);
    }
    return this.#take();
  }

  /**
   * The transport has ended. Without a close_notify before, what came may have been cut off. RFC 8446 6.1: "MUST
   * receive a "close_notify" alert before indicating end-of-data to the application layer".
   */
  end(): ConnectionEvent[] {
    if (!this.#over) this.#fail(new TlsError('truncated'));
    return this.#take();
  }

  /** As many records as it takes. Nothing is sent after `close`, or after a failure. */
  write(data: Uint8Array): ConnectionEvent[] {
    if (this.#sentClose) return [];
    if (data.length > 0) this.#answered = false;
    const parts: Uint8Array[] = [];
    try {
      for (let at = 0; at < data.length; at += MAX_PLAINTEXT) {
        this.#makeRoom(parts);
        this.#writer.write(ContentType.applicationData, data.subarray(at, at + MAX_PLAINTEXT), parts);
      }
      this.#send(parts);
    } catch (thrown) {
      this.#send(parts);
      this.#fail(thrown);
    }
    return this.#take();
  }

  /**
   * Changes our key, and with `requestPeer` asks for a change of the peer's, unless such a request is still
   * unanswered (RFC 9846 4.7.3). Nothing happens in TLS 1.2.
   */
  updateKeys(requestPeer: boolean): ConnectionEvent[] {
    if (this.#sentClose || this.#postHandshake === undefined) return [];
    const request = requestPeer && !this.#updateRequested;
    this.#updateRequested ||= request;
    const parts: Uint8Array[] = [];
    this.#updateTx(this.#postHandshake.updateTx(request), parts);
    this.#send(parts);
    return this.#take();
  }

  /**
   * close_notify: we send nothing more. RFC 8446 6.1: "Each party MUST send a "close_notify" alert before closing its
   * write side".
   */
  close(): ConnectionEvent[] {
    if (this.#sentClose) return [];
    this.#sentClose = true;
    this.#sendAlert(AlertDescription.closeNotify);
    return this.#take();
  }

  wipe(): void {
    this.#over = true;
    this.#sentClose = true;
    this.#reader.wipe();
    this.#writer.wipe();
    this.#postHandshake?.wipe();
  }

  #process(record: Record): void {
    if (!record.isProtected) throw new TlsError('unprotected_record');
    if (record.type === ContentType.applicationData) {
      if (record.content.length === 0) {
        this.#noProgress();
      } else {
        this.#withoutProgress = 0;
        this.#ticketsWithoutProgress = 0;
        this.#warnings = 0;
        this.#events.push({ type: 'data', bytes: record.content });
      }
      return;
    }
    switch (record.type) {
      case ContentType.handshake:
        this.#handshake(record.content);
        break;
      case ContentType.alert:
        this.#noProgress();
        this.#alert(record.content);
        break;
      default:
        throw new TlsError(
          record.type === ContentType.changeCipherSpec
            ? 'unexpected_change_cipher_spec'
            : 'unknown_content_type',
        );
    }
  }

  #noProgress(): void {
    if (++this.#withoutProgress > MAX_WITHOUT_PROGRESS) throw new TlsError('no_progress');
  }

  #handshake(content: Uint8Array): void {
    if (this.#postHandshake === undefined) {
      // A renegotiation (RFC 5246 7.4.1.1, 7.4.1.2). There is no code path that could make one.
      // RFC 5746 4.2: "MUST respond to such requests with a "no_renegotiation" alert"; the connection ends with it.
      const asksForOne =
        content[0] === HandshakeType.helloRequest || content[0] === HandshakeType.clientHello;
      throw new TlsError(asksForOne ? 'renegotiation' : 'unexpected_handshake_message');
    }
    const before = this.#postHandshake.tickets;
    const events = this.#postHandshake.receive(content, !this.#answered);
    // Also those that are dropped: they cost their decryption.
    this.#ticketsWithoutProgress += this.#postHandshake.tickets - before;
    for (const event of events) {
      switch (event.type) {
        case 'rxKeys':
          this.#noProgress();
          this.#updateRequested = false;
          this.#installRx(event.secret, event.aligned);
          this.#events.push({ type: 'keyUpdate' });
          break;
        case 'txUpdate': {
          if (this.#sentClose) {
            wipe(event.secret);
            break;
          }
          const parts: Uint8Array[] = [];
          this.#answered = true;
          this.#updateTx(event, parts);
          this.#send(parts);
          break;
        }
        case 'ticket':
          this.#events.push(event);
          break;
        case 'fail':
          throw new TlsError(event.reason);
      }
    }
    if (this.#ticketsWithoutProgress > MAX_WITHOUT_PROGRESS) throw new TlsError('no_progress');
  }

  #alert(content: Uint8Array): void {
    // RFC 8446 5.4, and the data plane's answer in TLS 1.2 as well.
    if (content.length === 0) throw new TlsError('empty_alert');
    if (content.length !== 2) throw new TlsError('malformed_alert');
    const [level, description] = content as unknown as [number, number];
    if (level !== WARNING && level !== FATAL) throw new TlsError('bad_alert_level');
    // RFC 8446 6.1: "Any data received after a closure alert has been received MUST be ignored."
    if (description === AlertDescription.closeNotify) {
      this.#over = true;
      this.#reader.wipe();
      this.#events.push({ type: 'closed' });
      return;
    }
    // RFC 8446 6: the level says nothing. In TLS 1.2 a warning may be ignored (RFC 5246 7.2.2).
    // RFC 8446 6: "MUST be treated as error alerts when received regardless of the AlertLevel in the message";
    // "Unknown Alert types MUST be treated as error alerts."
    const isWarning =
      this.#version === TLS13 ? description === AlertDescription.userCanceled : level === WARNING;
    if (!isWarning) throw new TlsError('peer_alert', description);
    if (++this.#warnings > MAX_WARNING_ALERTS) throw new TlsError('too_many_warning_alerts');
  }

  /** Before an application record: a KeyUpdate, when this key has served its time. */
  #makeRoom(parts: Uint8Array[]): void {
    if (this.#writer.recordSeq + RESERVED_RECORDS < this.#recordLimit) return;
    if (this.#postHandshake === undefined) throw new TlsError('key_usage_exhausted');
    this.#updateTx(this.#postHandshake.updateTx(false), parts);
  }

  /**
   * The KeyUpdate goes out under the old key, all that follows under the new one. RFC 8446 4.6.3: "MUST encrypt their
   * KeyUpdate messages with the old keys"; "the sender SHALL send all its traffic using the next generation of keys".
   */
  #updateTx(update: TxUpdate, parts: Uint8Array[]): void {
    this.#writer.write(ContentType.handshake, update.message, parts);
    this.#installTx(update.secret);
  }

  #installRx(secret: TrafficSecret, aligned = alignedAt(0)): void {
    this.#reader.install(recordKeys(secret), aligned, Number(secret.recordSeq));
  }

  #installTx(secret: TrafficSecret): void {
    this.#writer.install(recordKeys(secret), Number(secret.recordSeq));
  }

  #send(parts: readonly Uint8Array[]): void {
    if (parts.length !== 0) this.#events.push({ type: 'send', bytes: joinBytes(parts) });
  }

  #sendAlert(description: number): void {
    const parts: Uint8Array[] = [];
    this.#writer.write(ContentType.alert, alertContent(description), parts);
    this.#send(parts);
  }

  // RFC 8446 6: "MUST NOT allow any further data to be sent or received on the connection".
  #fail(thrown: unknown): void {
    const { reason, received } = asTlsError(thrown);
    const alert = alertFor(reason);
    const parts: Uint8Array[] = [];
    if (alert !== undefined && !this.#sentClose) {
      this.#writer.write(ContentType.alert, alertContent(alert), parts);
    }
    this.wipe();
    this.#events.push({ type: 'fail', reason, alert, received, bytes: joinBytes(parts) });
  }

  #take(): ConnectionEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }
}

function alertContent(description: number): Uint8Array {
  return Uint8Array.of(description === AlertDescription.closeNotify ? WARNING : FATAL, description);
}

function recordKeys({ suite, key, iv }: TrafficSecret) {
  const known = suiteById(suite);
  if (known === undefined) throw new TlsError('internal_error');
  return { suite: known, key, iv };
}

const CHACHA20_SUITES = new Set([0x1303, 0xcca8, 0xcca9]);

function defaultRecordLimit(suite: number): number {
  return CHACHA20_SUITES.has(suite) ? COUNTER_LIMIT : AES_GCM_RECORD_LIMIT;
}

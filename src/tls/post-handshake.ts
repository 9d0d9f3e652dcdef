/**
 * What is left of a handshake once the data plane owns the records: KeyUpdate (RFC 8446 4.6.3), and for a client
 * NewSessionTicket (4.6.1); nothing else.
 * A connection costs JavaScript nothing between two of these; its state is a blob that the engine keeps.
 *
 * Counting is the engine's: it sees the application data that clears a count, and ends a connection after 32
 * post-handshake messages in a row without any.
 */
import { alertFor, asTlsError, type Reason, TlsError } from './alerts.ts';
import { copyBytes } from './bytes.ts';
import {
  type ClientUpdates,
  isClientBlob,
  packClientUpdates,
  unpackClientUpdates,
} from './client/client-updates.ts';
import { keyUpdateMessage, readKeyUpdate } from './codec/key-update.ts';
import { type NewSessionTicket, readNewSessionTicket } from './codec/new-session-ticket.ts';
import { Reader } from './codec/reader.ts';
import { HANDSHAKE_HEADER, HandshakeType } from './codepoints.ts';
import type { CryptoProvider } from './crypto-provider.ts';
import type { Aligned } from './handshake-joiner.ts';
import { encodeClientSession } from './session/client-session.ts';
import {
  notUpdateSecrets,
  packUpdateState,
  type TrafficSecret,
  trafficSecret,
  type UpdateSecrets,
  type UpdateState,
  unpackUpdateState,
} from './traffic.ts';

export interface TxUpdate {
  /** A KeyUpdate, to be sent in a handshake record of its own under the OLD key. */
  readonly message: Uint8Array;
  /** Keys for every record after it. */
  readonly secret: TrafficSecret;
}

export type PostHandshakeEvent =
  /** Open the next record with these. */
  | { readonly type: 'rxKeys'; readonly secret: TrafficSecret; readonly aligned: Aligned }
  | ({ readonly type: 'txUpdate' } & TxUpdate)
  /** A client's: a session to offer to the same server later; opaque, secret. */
  | { readonly type: 'ticket'; readonly session: Uint8Array }
  /** Send the alert, if there is one, and close. The blob is of no more use. */
  | { readonly type: 'fail'; readonly reason: Reason; readonly alert: number | undefined };

/** Bytes of a NewSessionTicket; as BoringSSL takes them. */
const MAX_TICKET_MESSAGE = 16_384;

export class PostHandshake {
  readonly #state: UpdateState;
  /** undefined: a server, which takes no tickets. */
  readonly #client: ClientUpdates | undefined;
  readonly #now: (() => number) | undefined;
  #tickets = 0;
  /** The peer has asked for a KeyUpdate in this record. */
  #requested = false;

  private constructor(
    state: UpdateState,
    client: ClientUpdates | undefined,
    now: (() => number) | undefined,
  ) {
    this.#state = state;
    this.#client = client;
    this.#now = now;
  }

  /**
   * `now`: milliseconds since the Unix epoch, for a client that wants its tickets; without it they are read and dropped. Throws
   * ERR_SOCRYPT_TLS_UPDATE_SECRETS for anything but a blob made here. Copies it.
   */
  static open(blob: UpdateSecrets, provider: CryptoProvider, now?: () => number): PostHandshake {
    if (!isClientBlob(blob)) return new PostHandshake(unpackUpdateState(blob, provider), undefined, now);
    let opened: ReturnType<typeof unpackClientUpdates>;
    try {
      opened = unpackClientUpdates(blob);
    } catch {
      throw notUpdateSecrets(blob);
    }
    const state = unpackUpdateState(opened.keys, provider);
    state.partial = opened.partial;
    return new PostHandshake(state, opened.clientWith(provider, state.rx.suite), now);
  }

  /** NewSessionTickets that have come since `open`, those that were dropped included. */
  get tickets(): number {
    return this.#tickets;
  }

  /**
   * `content`: the plaintext of one record of type handshake, which may be a fragment of a message. `answer`: whether a request
   * for a KeyUpdate is answered; one that has sent no data since its last answer need not (RFC 8446 4.6.3).
   */
  receive(content: Uint8Array, answer = true): PostHandshakeEvent[] {
    try {
      const events = this.#receive(content);
      if (this.#requested && answer) events.push({ type: 'txUpdate', ...this.updateTx(false) });
      this.#requested = false;
      return events;
    } catch (thrown) {
      const { reason } = asTlsError(thrown);
      this.wipe();
      return [{ type: 'fail', reason, alert: alertFor(reason) }];
    }
  }

  /**
   * Our own KeyUpdate, when a key's usage limit comes near. With `requestPeer` the peer is asked for one too;
   * the caller keeps at most one such request outstanding.
   */
  updateTx(requestPeer: boolean): TxUpdate {
    const state = this.#state;
    const next = state.tx.next();
    state.tx.wipe();
    state.tx = next;
    state.txEpoch++;
    return { message: keyUpdateMessage(requestPeer), secret: trafficSecret(next, state.txEpoch) };
  }

  /** The state to keep with the connection in place of the one before, which the keeper zeroises. */
  blob(): UpdateSecrets {
    if (this.#client === undefined) return packUpdateState(this.#state);
    const keys = packUpdateState({ ...this.#state, partial: NOTHING });
    return packClientUpdates(keys, this.#client, this.#state.partial);
  }

  wipe(): void {
    this.#state.rx.wipe();
    this.#state.tx.wipe();
    this.#client?.resumption.wipe();
  }

  #receive(content: Uint8Array): PostHandshakeEvent[] {
    // RFC 8446 5.1: no zero-length fragments of handshake messages.
    if (content.length === 0) throw new TlsError('empty_handshake_fragment');
    const state = this.#state;
    let bytes = content;
    if (state.partial.length > 0) {
      bytes = new Uint8Array(state.partial.length + content.length);
      bytes.set(state.partial);
      bytes.set(content, state.partial.length);
    }
    state.partial = NOTHING;
    const events: PostHandshakeEvent[] = [];
    for (let rest = bytes; rest.length > 0; ) {
      const used =
        this.#client !== undefined && rest[0] === HandshakeType.newSessionTicket
          ? this.#ticket(this.#client, rest, events)
          : this.#keyUpdate(rest, events);
      if (used === 0) {
        state.partial = copyBytes(rest);
        break;
      }
      rest = rest.subarray(used);
    }
    return events;
  }

  /** How many bytes it took; 0: the message has not ended. */
  #ticket(client: ClientUpdates, bytes: Uint8Array, events: PostHandshakeEvent[]): number {
    if (bytes.length < HANDSHAKE_HEADER) return 0;
    const length = HANDSHAKE_HEADER + ((bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!);
    if (length > MAX_TICKET_MESSAGE) throw new TlsError('handshake_message_too_long');
    if (bytes.length < length) return 0;
    const message = readNewSessionTicket(bytes.subarray(HANDSHAKE_HEADER, length));
    this.#tickets++;
    // RFC 8446 4.6.1: a lifetime of zero says that "the ticket should be discarded immediately".
    const wanted = this.#now !== undefined && client.facts.length > 0 && message.lifetime > 0;
    if (wanted && client.ticketsLeft > 0) {
      client.ticketsLeft--;
      events.push({ type: 'ticket', session: sessionOf(client, message, this.#now()) });
    }
    return length;
  }

  #keyUpdate(bytes: Uint8Array, events: PostHandshakeEvent[]): number {
    const keyUpdate = readKeyUpdate(bytes);
    if (keyUpdate === undefined) return 0;
    const state = this.#state;
    const next = state.rx.next();
    state.rx.wipe();
    state.rx = next;
    state.rxEpoch++;
    const secret = trafficSecret(next, state.rxEpoch);
    // RFC 8446 4.6.3: "Upon receiving a KeyUpdate, the receiver MUST update its receiving keys." Nothing else does:
    // "both sides MUST enforce that a KeyUpdate with the old key is received before accepting any messages encrypted
    // with the new key".
    events.push({ type: 'rxKeys', secret, aligned: keyUpdate.aligned });
    // RFC 8446 4.6.3: answer "prior to sending its next Application Data record", without asking in turn.
    this.#requested ||= keyUpdate.requestsUpdate;
    return bytes.length;
  }
}

function sessionOf(client: ClientUpdates, message: NewSessionTicket, receivedAt: number): Uint8Array {
  const secret = client.resumption.psk(message.nonce);
  const session = encodeClientSession(client.facts, {
    secret,
    ticket: message.ticket,
    sessionId: NOTHING,
    lifetime: message.lifetime,
    ageAdd: new Reader(message.ageAdd).u32(),
    receivedAt,
  });
  secret.fill(0);
  return session;
}

const NOTHING = new Uint8Array(0);

/**
 * What is left of a handshake once the data plane owns the records: KeyUpdate (RFC 8446 4.6.3), nothing else.
 * A connection costs JavaScript nothing between two of these; its state is a blob that the engine keeps.
 *
 * Counting is the engine's: it sees the application data that clears a count, and ends a connection after 32
 * post-handshake messages in a row without any.
 */
import { alertFor, asTlsError, type Reason, TlsError } from './alerts.ts';
import { copyBytes } from './bytes.ts';
import { keyUpdateMessage, readKeyUpdate } from './codec/key-update.ts';
import type { CryptoProvider } from './crypto-provider.ts';
import type { Aligned } from './handshake-joiner.ts';
import {
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
  /** Send the alert, if there is one, and close. The blob is of no more use. */
  | { readonly type: 'fail'; readonly reason: Reason; readonly alert: number | undefined };

export class PostHandshake {
  readonly #state: UpdateState;

  private constructor(state: UpdateState) {
    this.#state = state;
  }

  /** Throws ERR_SOCRYPT_TLS_UPDATE_SECRETS for anything but a blob made here. Copies it. */
  static open(blob: UpdateSecrets, provider: CryptoProvider): PostHandshake {
    return new PostHandshake(unpackUpdateState(blob, provider));
  }

  /** `content`: the plaintext of one record of type handshake, which may be a fragment of a message. */
  receive(content: Uint8Array): PostHandshakeEvent[] {
    try {
      return this.#receive(content);
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
    return packUpdateState(this.#state);
  }

  wipe(): void {
    this.#state.rx.wipe();
    this.#state.tx.wipe();
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
    const keyUpdate = readKeyUpdate(bytes);
    if (keyUpdate === undefined) {
      state.partial = copyBytes(bytes);
      return [];
    }
    state.partial = NOTHING;
    const next = state.rx.next();
    state.rx.wipe();
    state.rx = next;
    state.rxEpoch++;
    const secret = trafficSecret(next, state.rxEpoch);
    const events: PostHandshakeEvent[] = [{ type: 'rxKeys', secret, aligned: keyUpdate.aligned }];
    // RFC 8446 4.6.3: answer "prior to sending its next Application Data record", without asking in turn.
    if (keyUpdate.requestsUpdate) events.push({ type: 'txUpdate', ...this.updateTx(false) });
    return events;
  }
}

const NOTHING = new Uint8Array(0);

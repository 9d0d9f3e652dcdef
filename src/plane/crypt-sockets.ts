/** Handshakes and what comes after them, as messages between an engine and the thread that answers. */
import { Down, type MessageReader, type TrafficKeys, Up } from './messages.ts';
import type { Messenger } from './messenger.ts';

/** Answers to one engine's handshakes. Every call about a connection that is gone is ignored. */
export interface CryptSockets {
  /** Wire bytes; the engine reads on afterwards. */
  send(connection: number, bytes: Uint8Array): void;
  more(connection: number): void;
  /** setCrypt in both directions: `first` goes out as it is, then records are the engine's. */
  establish(
    connection: number,
    first: Uint8Array,
    tx: TrafficKeys,
    rx: TrafficKeys,
    update: Uint8Array,
    leftover: Uint8Array,
    /** Bytes of content that a record to the peer may have, 63 to 16384 (RFC 8449). */
    maxFragment: number,
  ): void;
  /** Sends `alert` (wire bytes, may be empty) and closes. */
  fail(connection: number, alert: Uint8Array): void;
  receiveKeys(connection: number, keys: TrafficKeys, update: Uint8Array): void;
  /** Sends `message` under the current key, then seals with `keys`. `asked`: the answer to rekeyDue. */
  updateTransmit(
    connection: number,
    asked: boolean,
    message: Uint8Array,
    keys: TrafficKeys,
    update: Uint8Array,
  ): void;
  /** The post-handshake message needed no new keys. */
  postMore(connection: number, update: Uint8Array): void;
  postFail(connection: number, alert: number): void;
  /**
   * Handshake messages (a NewSessionTicket) after `establish`, at any time: sealed under the key in force, between two
   * records of the engine's own. TLS 1.3 only; 1 byte to 256 KiB.
   */
  sendHandshake(connection: number, content: Uint8Array): void;
}

/** What the control plane does with an engine's handshake messages. Byte runs are valid only during the call. */
export interface HandshakeHandler {
  /** `first`: nothing of this connection came before. Otherwise what came may be another's, who is gone. */
  data(sockets: CryptSockets, connection: number, bytes: Uint8Array, first?: boolean): void;
  closed(sockets: CryptSockets, connection: number): void;
  postHandshake(sockets: CryptSockets, connection: number, update: Uint8Array, content: Uint8Array): void;
  rekeyDue(sockets: CryptSockets, connection: number, update: Uint8Array): void;
}

/** The answers as messages. */
export class MessageSockets implements CryptSockets {
  readonly #messenger: Messenger;

  constructor(messenger: Messenger) {
    this.#messenger = messenger;
  }

  send(connection: number, bytes: Uint8Array): void {
    const writer = this.#messenger.begin(Down.HandshakeSend, connection);
    writer.bytes(bytes);
    this.#messenger.end();
  }
  more(connection: number): void {
    this.#messenger.begin(Down.HandshakeMore, connection);
    this.#messenger.end();
  }
  establish(
    connection: number,
    first: Uint8Array,
    tx: TrafficKeys,
    rx: TrafficKeys,
    update: Uint8Array,
    leftover: Uint8Array,
    maxFragment: number,
  ): void {
    const writer = this.#messenger.begin(Down.Establish, connection);
    writer.bytes(first);
    writer.keys(tx);
    writer.keys(rx);
    writer.bytes(update);
    writer.bytes(leftover);
    writer.u32(maxFragment);
    this.#messenger.end();
  }
  fail(connection: number, alert: Uint8Array): void {
    const writer = this.#messenger.begin(Down.HandshakeFail, connection);
    writer.bytes(alert);
    this.#messenger.end();
  }
  receiveKeys(connection: number, keys: TrafficKeys, update: Uint8Array): void {
    const writer = this.#messenger.begin(Down.RxKeys, connection);
    writer.keys(keys);
    writer.bytes(update);
    this.#messenger.end();
  }
  updateTransmit(
    connection: number,
    asked: boolean,
    message: Uint8Array,
    keys: TrafficKeys,
    update: Uint8Array,
  ): void {
    const writer = this.#messenger.begin(Down.TxUpdate, connection);
    writer.u8(asked ? 1 : 0);
    writer.bytes(message);
    writer.keys(keys);
    writer.bytes(update);
    this.#messenger.end();
  }
  postMore(connection: number, update: Uint8Array): void {
    const writer = this.#messenger.begin(Down.PostMore, connection);
    writer.bytes(update);
    this.#messenger.end();
  }
  postFail(connection: number, alert: number): void {
    const writer = this.#messenger.begin(Down.PostFail, connection);
    writer.u8(alert);
    this.#messenger.end();
  }
  sendHandshake(connection: number, content: Uint8Array): void {
    const writer = this.#messenger.begin(Down.PostSend, connection);
    writer.bytes(content);
    this.#messenger.end();
  }
}

/** False: the message is not about a handshake. */
export function dispatchHandshake(
  reader: MessageReader,
  sockets: CryptSockets,
  handshakes: HandshakeHandler,
): boolean {
  switch (reader.type) {
    case Up.HandshakeData: {
      const first = reader.u8() === 1;
      handshakes.data(sockets, reader.id, reader.bytes(), first);
      return true;
    }
    case Up.HandshakeClosed:
      handshakes.closed(sockets, reader.id);
      return true;
    case Up.PostHandshake: {
      const update = reader.bytes();
      handshakes.postHandshake(sockets, reader.id, update, reader.bytes());
      return true;
    }
    case Up.RekeyDue:
      handshakes.rekeyDue(sockets, reader.id, reader.bytes());
      return true;
    default:
      return false;
  }
}

/** An engine's handshakes as the thread that answers them sees it; the engine itself belongs to the main thread. */
import { type NativeHandshakeChannel, native } from '../native.ts';
import { dispatchHandshake, type HandshakeHandler, MessageSockets } from './crypt-sockets.ts';
import { Messenger } from './messenger.ts';

export class HandshakeLink {
  readonly #channel: NativeHandshakeChannel;
  readonly #messenger: Messenger;

  /** `channel`: EngineLink.handshakeChannel(), told by the main thread. Throws ERR_SOCRYPT_CHANNEL. */
  constructor(channel: number, handshakes: HandshakeHandler) {
    this.#channel = new native.HandshakeChannel(channel, () => this.#messenger.onWake());
    this.#messenger = new Messenger(this.#channel, (message) => {
      dispatchHandshake(message, sockets, handshakes);
    });
    const sockets = new MessageSockets(this.#messenger);
  }

  /** What was answered goes down; the engine ends the connections that wait for an answer. */
  close(): void {
    this.#messenger.stop();
    this.#channel.detach();
  }
}

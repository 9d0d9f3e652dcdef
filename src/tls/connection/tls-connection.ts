/**
 * A whole TLS connection, sans-IO: handshake, then application data, until both sides have closed.
 *
 *     const connection = TlsConnection.server(config, provider);
 *     for (const event of connection.receive(bytes)) …  // 'send', 'established', 'data', 'closed', 'fail', …
 *
 * Nothing a peer sends makes a method throw.
 */
import type { CertificateRefusal, HandshakeConfig, HandshakeEvent } from '../api.ts';
import type { ClientConfig } from '../client/api.ts';
import { ClientHandshake } from '../client/client-handshake.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import type { Handshake } from '../handshake.ts';
import type { ServerConfig } from '../server/api.ts';
import { ServerHandshake } from '../server/server-handshake.ts';
import type { ConnectionEvent, ConnectionOptions } from './api.ts';
import { ApplicationTraffic } from './application-traffic.ts';

export class TlsConnection {
  readonly #provider: CryptoProvider;
  readonly #options: ConnectionOptions;
  readonly #handshake: Handshake<HandshakeConfig>;
  readonly #now: (() => number) | undefined;
  #traffic: ApplicationTraffic | undefined;

  private constructor(
    handshake: Handshake<HandshakeConfig>,
    provider: CryptoProvider,
    options: ConnectionOptions,
    now?: () => number,
  ) {
    this.#handshake = handshake;
    this.#provider = provider;
    this.#options = options;
    this.#now = now;
  }

  static server(
    config: ServerConfig,
    provider: CryptoProvider,
    options: ConnectionOptions = {},
  ): TlsConnection {
    return new TlsConnection(new ServerHandshake(config, provider), provider, options);
  }

  /** `start` sends the ClientHello. */
  static client(
    config: ClientConfig,
    provider: CryptoProvider,
    options: ConnectionOptions = {},
  ): TlsConnection {
    return new TlsConnection(new ClientHandshake(config, provider), provider, options, config.now);
  }

  /** A client's first flight; nothing for a server. */
  start(): ConnectionEvent[] {
    return this.#joined(this.#handshake.start());
  }

  /** Name of the handshake's state, or 'Established', for logs and tests. */
  get state(): string {
    return this.#traffic === undefined ? this.#handshake.state : 'Established';
  }

  /** Bytes from the wire, in any portions. They may be reused after the call. */
  receive(bytes: Uint8Array): ConnectionEvent[] {
    if (this.#traffic !== undefined) return this.#traffic.receive(bytes);
    return this.#joined(this.#handshake.receive(bytes));
  }

  provideSignature(signature: Uint8Array): ConnectionEvent[] {
    return this.#joined(this.#handshake.provideSignature(signature));
  }

  provideVerification(refusal: CertificateRefusal | undefined): ConnectionEvent[] {
    return this.#joined(this.#handshake.provideVerification(refusal));
  }

  /** The transport has ended; says 'fail' unless the peer had closed the connection before. */
  end(): ConnectionEvent[] {
    if (this.#traffic !== undefined) return this.#traffic.end();
    return this.#joined(this.#handshake.end());
  }

  /** Before 'established' there is nothing to write with: throws ERR_SOCRYPT_TLS_NOT_ESTABLISHED. */
  write(data: Uint8Array): ConnectionEvent[] {
    return this.#established('write').write(data);
  }

  /** See ApplicationTraffic. Throws ERR_SOCRYPT_TLS_NOT_ESTABLISHED. */
  updateKeys(requestPeer: boolean): ConnectionEvent[] {
    return this.#established('updateKeys').updateKeys(requestPeer);
  }

  /** Sends close_notify; during the handshake, gives it up with an alert. */
  close(): ConnectionEvent[] {
    return this.#traffic === undefined ? this.#joined(this.#handshake.abort()) : this.#traffic.close();
  }

  /** The transport is gone, or not wanted any more: zeroises what there is. */
  destroy(): void {
    this.#handshake.destroy();
    this.#traffic?.wipe();
  }

  // RFC 8446 2: "Application Data MUST NOT be sent prior to sending the Finished message". RFC 8446 5.1: "Application
  // Data records MUST NOT be written to the wire unprotected".
  // RFC 5246 7.3: "Application data MUST NOT be sent prior to the completion of the first handshake".
  #established(method: string): ApplicationTraffic {
    if (this.#traffic !== undefined) return this.#traffic;
    throw Object.assign(
      new Error(`expected ${method} after the established event, called in ${this.#handshake.state}`),
      { code: 'ERR_SOCRYPT_TLS_NOT_ESTABLISHED' },
    );
  }

  #joined(events: readonly HandshakeEvent[]): ConnectionEvent[] {
    const joined: ConnectionEvent[] = [];
    for (const event of events) {
      if (event.type !== 'established') {
        joined.push(event);
        continue;
      }
      const { tx: _tx, rx: _rx, update: _update, leftover, ...rest } = event;
      this.#traffic = new ApplicationTraffic(event, this.#provider, this.#options, this.#now);
      joined.push(rest, ...this.#traffic.receive(leftover));
    }
    return joined;
  }
}

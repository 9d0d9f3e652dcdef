/**
 * Joins the handshake (sans-IO, `tls/`) to the data plane: bytes that an engine carries up go through one
 * ServerHandshake per connection; when it is done its keys go down, are wiped here, and nothing of the
 * connection stays in JavaScript. What KeyUpdate needs is kept by the engine and comes up with each message.
 */
import type { CryptSockets, HandshakeHandler } from '../plane/engine-link.ts';
import {
  type CryptoProvider,
  type HandshakeEvent,
  PostHandshake,
  type ServerConfig,
  ServerHandshake,
  wipe,
} from '../tls/index.ts';
import type { Credential, CredentialStore } from './credentials.ts';

export interface HandshakeControlOptions {
  /** TLS cipher suite code points, preferred first. */
  readonly suites: readonly number[];
  /** TLS NamedGroup code points, preferred first. */
  readonly groups: readonly number[];
  readonly alpn: readonly string[];
  /** Bytes that a peer may send before its Finished. */
  readonly maxHandshakeBytes: number;
  /** A handshake that an engine no longer speaks of is forgotten after this long. */
  readonly handshakeTimeoutMs: number;
}

export interface HandshakeCounters {
  readonly full: number;
  /** By reason, as `tls/` names them. */
  readonly failed: ReadonlyMap<string, number>;
  /** Connections ended for a message after their handshake, by reason. */
  readonly failedAfter: ReadonlyMap<string, number>;
  /** Keys 'suite group alpn' as in the negotiated_total metric's labels, tab-separated. */
  readonly negotiated: ReadonlyMap<string, number>;
  /** Handshakes under way. */
  readonly pending: number;
}

const EMPTY = new Uint8Array(0);
const INTERNAL_ERROR = 80;
const TLS13 = 0x0304;

interface Pending {
  readonly handshake: ServerHandshake;
  readonly since: number;
}

export class HandshakeControl implements HandshakeHandler {
  readonly #provider: CryptoProvider;
  readonly #options: HandshakeControlOptions;
  readonly #pending = new Map<CryptSockets, Map<number, Pending>>();
  #config: ServerConfig;
  #full = 0;
  #failed = new Map<string, number>();
  #failedAfter = new Map<string, number>();
  #negotiated = new Map<string, number>();
  #sweepAt = 0;

  constructor(credentials: CredentialStore, provider: CryptoProvider, options: HandshakeControlOptions) {
    this.#provider = provider;
    this.#options = options;
    this.#config = this.#configure(credentials);
  }

  /** For handshakes that begin from now on; those under way keep what they started with. */
  setCredentials(credentials: CredentialStore): void {
    this.#config = this.#configure(credentials);
  }

  counters(): HandshakeCounters {
    let pending = 0;
    for (const connections of this.#pending.values()) pending += connections.size;
    return {
      full: this.#full,
      failed: this.#failed,
      failedAfter: this.#failedAfter,
      negotiated: this.#negotiated,
      pending,
    };
  }

  data(sockets: CryptSockets, connection: number, bytes: Uint8Array): void {
    let connections = this.#pending.get(sockets);
    if (connections === undefined) {
      connections = new Map();
      this.#pending.set(sockets, connections);
    }
    let pending = connections.get(connection);
    if (pending === undefined) {
      pending = { handshake: new ServerHandshake(this.#config, this.#provider), since: Date.now() };
      connections.set(connection, pending);
      this.#sweep(pending.since);
    }
    this.#apply(sockets, connections, connection, pending.handshake, pending.handshake.receive(bytes));
  }

  closed(sockets: CryptSockets, connection: number): void {
    const connections = this.#pending.get(sockets);
    if (connections === undefined) return;
    connections.get(connection)?.handshake.destroy();
    this.#forget(sockets, connections, connection);
  }

  postHandshake(sockets: CryptSockets, connection: number, update: Uint8Array, content: Uint8Array): void {
    const state = PostHandshake.open(update, this.#provider);
    const events = state.receive(content);
    // Both messages of an answer carry the state after both of them.
    const blob = state.blob();
    state.wipe();
    let received = false;
    for (const event of events) {
      if (event.type === 'fail') {
        count(this.#failedAfter, event.reason);
        sockets.postFail(connection, event.alert ?? INTERNAL_ERROR);
        received = true;
      } else if (event.type === 'rxKeys') {
        sockets.receiveKeys(connection, event.secret, blob);
        wipe(event.secret);
        received = true;
      } else {
        sockets.updateTransmit(connection, false, event.message, event.secret, blob);
        wipe(event.secret);
      }
    }
    if (!received) sockets.postMore(connection, blob);
    wipe(blob);
  }

  rekeyDue(sockets: CryptSockets, connection: number, update: Uint8Array): void {
    const state = PostHandshake.open(update, this.#provider);
    const { message, secret } = state.updateTx(false);
    const blob = state.blob();
    state.wipe();
    sockets.updateTransmit(connection, true, message, secret, blob);
    wipe(secret);
    wipe(blob);
  }

  #apply(
    sockets: CryptSockets,
    connections: Map<number, Pending>,
    connection: number,
    handshake: ServerHandshake,
    events: readonly HandshakeEvent[],
  ): void {
    let flight: Uint8Array = EMPTY;
    let queue = events;
    for (let i = 0; i < queue.length; ++i) {
      const event = queue[i]!;
      switch (event.type) {
        case 'send':
          flight = flight.length === 0 ? event.bytes : Buffer.concat([flight, event.bytes]);
          break;
        case 'sign':
          // Nothing follows a request for a signature in one batch of events.
          queue = sign(handshake, event.credential as Credential, event.scheme, event.data);
          i = -1;
          break;
        case 'verify':
          // No client is asked for a certificate.
          queue = handshake.abort();
          i = -1;
          break;
        case 'established': {
          this.#forget(sockets, connections, connection);
          this.#full += 1;
          const { suite, group, alpn } = event.info;
          count(this.#negotiated, `${suite}\t${group}\t${alpn ?? ''}`);
          sockets.establish(connection, flight, event.tx, event.rx, event.update, event.leftover);
          wipe(event.tx);
          wipe(event.rx);
          wipe(event.update);
          event.exporter.wipe();
          return;
        }
        case 'fail':
          this.#forget(sockets, connections, connection);
          count(this.#failed, event.reason);
          sockets.fail(connection, flight.length === 0 ? event.bytes : Buffer.concat([flight, event.bytes]));
          return;
      }
    }
    if (flight.length !== 0) sockets.send(connection, flight);
    else sockets.more(connection);
  }

  /** An engine without handshakes is not held on to. */
  #forget(sockets: CryptSockets, connections: Map<number, Pending>, connection: number): void {
    connections.delete(connection);
    if (connections.size === 0) this.#pending.delete(sockets);
  }

  // An engine says when a connection ends during its handshake, unless its ring was full just then.
  #sweep(now: number): void {
    if (now < this.#sweepAt) return;
    this.#sweepAt = now + this.#options.handshakeTimeoutMs;
    for (const connections of this.#pending.values())
      for (const [connection, pending] of connections)
        if (now - pending.since > 2 * this.#options.handshakeTimeoutMs) {
          pending.handshake.destroy();
          connections.delete(connection);
        }
  }

  #configure(credentials: CredentialStore): ServerConfig {
    const { suites, groups, alpn, maxHandshakeBytes } = this.#options;
    return {
      versions: [TLS13],
      suites,
      groups,
      alpn,
      maxHandshakeBytes,
      // A name that is not ours gets the first certificate. So none at all means that no signature scheme fits, which
      // the handshake finds out, and names, by itself.
      selectCredential: (hello) => credentials.select(hello) ?? credentials.credentials[0],
    };
  }
}

/** A key that cannot sign (a token that was pulled, say) fails this handshake and no other. */
function sign(
  handshake: ServerHandshake,
  credential: Credential,
  scheme: number,
  data: Uint8Array,
): readonly HandshakeEvent[] {
  let signature: Uint8Array;
  try {
    signature = credential.sign(scheme, data);
  } catch {
    return handshake.abort();
  }
  return handshake.provideSignature(signature);
}

function count(counters: Map<string, number>, key: string): void {
  counters.set(key, (counters.get(key) ?? 0) + 1);
}

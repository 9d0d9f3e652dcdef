/**
 * Joins the handshake (sans-IO, `tls/`) to the data plane: bytes that an engine carries up go through one
 * ServerHandshake per connection; when it is done its keys go down, are wiped here, and nothing of the
 * connection stays in JavaScript. What KeyUpdate needs is kept by the engine and comes up with each message.
 */
import type { CryptSockets, HandshakeHandler } from '../plane/engine-link.ts';
import {
  type CryptoProvider,
  type HandshakeEvent,
  type KeyLog,
  PostHandshake,
  type ServerConfig,
  ServerHandshake,
  versionsOf,
  wipe,
} from '../tls/index.ts';
import { type ClientAuthenticationOptions, ClientVerifier } from './client-authentication.ts';
import type { Credential, CredentialStore } from './credential-store.ts';
import {
  CounterMap,
  type CounterSink,
  FAILED,
  FAILED_AFTER,
  FULL,
  type HandshakeCounters,
  NEGOTIATED,
  NOT_RESUMED,
  PENDING,
  RESUMED,
  readCounters,
  TICKETS,
} from './handshake-counters.ts';
import { keyLogTo } from './key-log.ts';
import { type SessionOptions, Sessions } from './tickets/sessions.ts';
import type { TicketSecrets } from './tickets/ticket-sealer.ts';

export type { HandshakeCounters } from './handshake-counters.ts';

export interface HandshakeControlOptions {
  /** TLS cipher suite code points, preferred first; the versions that are spoken are those they belong to. */
  readonly suites: readonly number[];
  /** TLS NamedGroup code points, preferred first. */
  readonly groups: readonly number[];
  readonly alpn: readonly string[];
  /** Bytes that a peer may send before its Finished. */
  readonly maxHandshakeBytes: number;
  /** A handshake that an engine no longer speaks of is forgotten after this long. */
  readonly handshakeTimeoutMs: number;
  readonly sessions: SessionOptions;
  /** null: clients are not asked for certificates. */
  readonly clientAuthentication: ClientAuthenticationOptions | null;
  /** File that the secrets of every connection are written to; null or undefined: none. */
  readonly keyLogFile?: string | null;
}

const EMPTY = new Uint8Array(0);
const INTERNAL_ERROR = 80;

interface Pending {
  /** undefined: forgotten. A signature that comes late, or never, holds on to no more than this. */
  handshake: ServerHandshake | undefined;
  readonly since: number;
  /** A signature is being made elsewhere. */
  signing: boolean;
}
type Connections = Map<number, Pending>;

export class HandshakeControl implements HandshakeHandler {
  readonly #provider: CryptoProvider;
  readonly #options: HandshakeControlOptions;
  readonly #counters: CounterSink;
  readonly #own: CounterMap | undefined;
  readonly #pending = new Map<CryptSockets, Connections>();
  readonly #sessions: Sessions;
  readonly #keyLog: KeyLog | undefined;
  #clients: ClientVerifier | null = null;
  #config: ServerConfig;
  #sweepAt = 0;

  /** `counters`: where counts go; without it they stay here, for `counters()`. */
  constructor(
    credentials: CredentialStore,
    provider: CryptoProvider,
    options: HandshakeControlOptions,
    counters?: CounterSink,
  ) {
    this.#provider = provider;
    this.#options = options;
    this.#own = counters === undefined ? new CounterMap() : undefined;
    this.#counters = counters ?? this.#own!;
    this.#sessions = new Sessions(provider, options.sessions);
    const { keyLogFile = null } = options;
    this.#keyLog = keyLogFile === null ? undefined : keyLogTo(keyLogFile);
    this.#config = this.#configure(credentials, options.clientAuthentication);
  }

  /** For handshakes that begin from now on; those under way keep what they started with, but for who is let in. */
  setCredentials(credentials: CredentialStore, clients: ClientAuthenticationOptions | null): void {
    this.#config = this.#configure(credentials, clients);
  }

  /** Copies. */
  setTicketSecrets(secrets: TicketSecrets): void {
    this.#sessions.replaceSecrets(secrets);
  }

  counters(): HandshakeCounters {
    return readCounters(this.#own === undefined ? [] : [this.#own.values]);
  }

  data(sockets: CryptSockets, connection: number, bytes: Uint8Array, first = true): void {
    let connections = this.#pending.get(sockets);
    let pending = connections?.get(connection);
    if (pending === undefined) {
      // The rest of a handshake that another thread began, which is gone: its connection is being ended.
      if (!first) return;
      if (connections === undefined) {
        connections = new Map();
        this.#pending.set(sockets, connections);
      }
      const since = Date.now();
      pending = { handshake: new ServerHandshake(this.#config, this.#provider), since, signing: false };
      connections.set(connection, pending);
      this.#counters.add(PENDING, 1);
      this.#sweep(since);
    }
    this.#guard(sockets, connection, pending, () => {
      const events = pending.handshake!.receive(bytes);
      // Input is kept while a signature is made; the engine is answered after it.
      if (pending.signing && events.length === 0) return;
      this.#apply(sockets, connection, pending, events, EMPTY);
    });
  }

  closed(sockets: CryptSockets, connection: number): void {
    const pending = this.#pending.get(sockets)?.get(connection);
    if (pending === undefined) return;
    pending.handshake?.destroy();
    this.#forget(sockets, connection, pending);
  }

  postHandshake(sockets: CryptSockets, connection: number, update: Uint8Array, content: Uint8Array): void {
    this.#guardAfter(sockets, connection, () => this.#takeMessage(sockets, connection, update, content));
  }

  rekeyDue(sockets: CryptSockets, connection: number, update: Uint8Array): void {
    this.#guardAfter(sockets, connection, () => this.#renewKey(sockets, connection, update));
  }

  #takeMessage(sockets: CryptSockets, connection: number, update: Uint8Array, content: Uint8Array): void {
    const state = PostHandshake.open(update, this.#provider);
    const events = state.receive(content);
    // Both messages of an answer carry the state after both of them.
    const blob = state.blob();
    state.wipe();
    let received = false;
    for (const event of events) {
      if (event.type === 'fail') {
        this.#counters.add(FAILED_AFTER + event.reason, 1);
        sockets.postFail(connection, event.alert ?? INTERNAL_ERROR);
        received = true;
      } else if (event.type === 'rxKeys') {
        sockets.receiveKeys(connection, event.secret, blob);
        wipe(event.secret);
        received = true;
      } else if (event.type === 'txUpdate') {
        sockets.updateTransmit(connection, false, event.message, event.secret, blob);
        wipe(event.secret);
      }
    }
    if (!received) sockets.postMore(connection, blob);
    wipe(blob);
  }

  #renewKey(sockets: CryptSockets, connection: number, update: Uint8Array): void {
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
    connection: number,
    pending: Pending,
    events: readonly HandshakeEvent[],
    before: Uint8Array,
  ): void {
    const handshake = pending.handshake!;
    let flight = before;
    let queue = events;
    for (let i = 0; i < queue.length; ++i) {
      const event = queue[i]!;
      switch (event.type) {
        case 'send':
          flight = joined(flight, event.bytes);
          break;
        case 'sign': {
          // Nothing follows a request for a signature in one batch of events.
          const signature = this.#sign(event.credential as Credential, event.scheme, event.data);
          if (signature instanceof Promise) {
            this.#awaitSignature(sockets, connection, pending, signature, flight);
            return;
          }
          queue = signature === undefined ? handshake.abort() : handshake.provideSignature(signature);
          i = -1;
          break;
        }
        case 'verify':
          queue = this.#judge(handshake, event.chain);
          i = -1;
          break;
        case 'established': {
          this.#forget(sockets, connection, pending);
          const { suite, group, alpn, resumption, tickets } = event.info;
          this.#counters.add(resumption === 'resumed' ? RESUMED : FULL, 1);
          if (resumption !== 'resumed' && resumption !== 'none')
            this.#counters.add(NOT_RESUMED + resumption, 1);
          if (tickets > 0) this.#counters.add(TICKETS, tickets);
          this.#counters.add(`${NEGOTIATED}${suite}\t${group}\t${alpn ?? ''}`, 1);
          sockets.establish(
            connection,
            flight,
            event.tx,
            event.rx,
            event.update,
            event.leftover,
            event.info.maxFragment,
          );
          wipe(event.tx);
          wipe(event.rx);
          wipe(event.update);
          event.exporter.wipe();
          return;
        }
        case 'fail':
          this.#forget(sockets, connection, pending);
          this.#counters.add(FAILED + event.reason, 1);
          sockets.fail(connection, joined(flight, event.bytes));
          return;
      }
    }
    if (flight.length !== 0) sockets.send(connection, flight);
    else sockets.more(connection);
  }

  #judge(handshake: ServerHandshake, chain: readonly Uint8Array[]): readonly HandshakeEvent[] {
    if (this.#clients === null) return handshake.provideVerification('certificate_refused');
    return handshake.provideVerification(this.#clients.verify(chain)?.reason);
  }

  /** undefined: a key that cannot sign (a token that was pulled, say) fails this handshake and no other. */
  #sign(
    credential: Credential,
    scheme: number,
    data: Uint8Array,
  ): Uint8Array | Promise<Uint8Array> | undefined {
    try {
      return credential.signElsewhere(scheme, data);
    } catch {
      return undefined;
    }
  }

  /** The engine is not answered meanwhile, and reads no more of this connection. */
  #awaitSignature(
    sockets: CryptSockets,
    connection: number,
    pending: Pending,
    signature: Promise<Uint8Array>,
    flight: Uint8Array,
  ): void {
    pending.signing = true;
    const resume = (made: Uint8Array | undefined): void => {
      const { handshake } = pending;
      if (handshake === undefined) return;
      pending.signing = false;
      this.#guard(sockets, connection, pending, () => {
        const events = made === undefined ? handshake.abort() : handshake.provideSignature(made);
        this.#apply(sockets, connection, pending, events, flight);
      });
    };
    signature.then(
      (made) => resume(made instanceof Uint8Array ? made : undefined),
      () => resume(undefined),
    );
  }

  /** What nobody expected to throw ends its own connection and nothing else. */
  #guard(sockets: CryptSockets, connection: number, pending: Pending, work: () => void): void {
    try {
      work();
    } catch {
      if (pending.handshake === undefined) return;
      pending.handshake.destroy();
      this.#forget(sockets, connection, pending);
      this.#counters.add(`${FAILED}internal_error`, 1);
      sockets.fail(connection, EMPTY);
    }
  }

  #guardAfter(sockets: CryptSockets, connection: number, work: () => void): void {
    try {
      work();
    } catch {
      this.#counters.add(`${FAILED_AFTER}internal_error`, 1);
      sockets.postFail(connection, INTERNAL_ERROR);
    }
  }

  /** An engine without handshakes is not held on to. */
  #forget(sockets: CryptSockets, connection: number, pending: Pending): void {
    if (pending.handshake === undefined) return;
    pending.handshake = undefined;
    this.#counters.add(PENDING, -1);
    const connections = this.#pending.get(sockets);
    connections?.delete(connection);
    if (connections?.size === 0) this.#pending.delete(sockets);
  }

  // An engine says when a connection ends during its handshake, unless its ring was full just then.
  #sweep(now: number): void {
    if (now < this.#sweepAt) return;
    this.#sweepAt = now + this.#options.handshakeTimeoutMs;
    for (const [sockets, connections] of this.#pending)
      for (const [connection, pending] of connections)
        if (now - pending.since > 2 * this.#options.handshakeTimeoutMs) {
          pending.handshake?.destroy();
          this.#forget(sockets, connection, pending);
        }
  }

  #configure(credentials: CredentialStore, clients: ClientAuthenticationOptions | null): ServerConfig {
    this.#clients = clients && new ClientVerifier(clients);
    const { suites, groups, alpn, maxHandshakeBytes } = this.#options;
    return {
      versions: versionsOf(suites),
      suites,
      groups,
      alpn,
      maxHandshakeBytes,
      keyLog: this.#keyLog,
      tickets: this.#sessions.tickets,
      sessionCache: this.#sessions.cache,
      cookies: this.#sessions.cookies,
      clientAuthentication: this.#clients?.authentication,
      sessionContext: this.#clients?.sessionContext,
      // A name that is not ours gets the first certificate. So none at all means that no signature scheme fits, which
      // the handshake finds out, and names, by itself.
      selectCredential: (hello) => credentials.select(hello) ?? credentials.credentials[0],
    };
  }
}

const joined = (a: Uint8Array, b: Uint8Array): Uint8Array =>
  a.length === 0 ? b : b.length === 0 ? a : Buffer.concat([a, b]);

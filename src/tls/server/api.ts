/** What a server is configured with. */
import type { Credential, HandshakeConfig } from '../api.ts';
import type { Sealer, SessionTickets } from '../session/api.ts';
import type { SessionCache } from '../session/cache.ts';

export interface ClientOffer {
  /** Lower case, without a final dot. */
  readonly serverName: string | undefined;
  /** 0x0304 or 0x0303: which of a credential's schemes count. */
  readonly version: number;
  readonly signatureSchemes: readonly number[];
  /** TLS 1.2: the client's curves, which the key of the certificate must be on (RFC 8422 5.1.1); 1.3: undefined. */
  readonly groups: readonly number[] | undefined;
  /** SignatureSchemes for the certificates of the chain; undefined: those of `signatureSchemes`. */
  readonly certificateSchemes: readonly number[] | undefined;
  /** Distinguished names, DER, of authorities that the client knows; undefined: it does not say. */
  readonly certificateAuthorities: readonly Uint8Array[] | undefined;
}

/** Asks clients for a certificate; what comes is judged by the answer to the 'verify' event. */
export interface ClientAuthentication {
  /** A client without one is refused. */
  readonly required: boolean;
  /** SignatureSchemes that are taken, most preferred first. */
  readonly schemes: readonly number[];
  /** Distinguished names, DER, that help the client to choose; empty: not said. */
  readonly authorities: readonly Uint8Array[];
}

/** Of `groups`, one the client has sent a share for goes before the others. */
export interface ServerConfig extends HandshakeConfig {
  /** undefined ends the handshake: unrecognized_name when the client named a server, else handshake_failure. */
  selectCredential(offer: ClientOffer): Credential | undefined;
  /** undefined: no sessions are resumed. */
  readonly tickets?: SessionTickets | undefined;
  /** TLS 1.2, for clients that take no tickets; undefined: they resume nothing. */
  readonly sessionCache?: SessionCache | undefined;
  /**
   * SHA-256 over what a session must not be carried across: who may connect, above all. Two configurations that share
   * ticket keys and have the same value here take each other's sessions. undefined: 32 zeros.
   */
  readonly sessionContext?: Uint8Array | undefined;
  /** undefined: clients are not asked for certificates. */
  readonly clientAuthentication?: ClientAuthentication | undefined;
  /**
   * Seals the cookies of HelloRetryRequests, so that any handshake with the same keys can go on after one. undefined:
   * with a key of its own, for this connection only.
   */
  readonly cookies?: Sealer | undefined;
}

/** What a caller gives to, and gets from, a server handshake. */
import type { Reason } from '../alerts.ts';
import type { TrafficSecret, UpdateSecrets } from '../traffic.ts';

export interface ServerCredential {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  /** SignatureSchemes that the key can sign with in TLS 1.3, most preferred first. */
  readonly schemes: readonly number[];
}

export interface ClientOffer {
  /** Lower case, without a final dot. */
  readonly serverName: string | undefined;
  readonly signatureSchemes: readonly number[];
}

export interface ServerConfig {
  /** Cipher suites, most preferred first: 0x1301, 0x1302, 0x1303. */
  readonly suites: readonly number[];
  /** NamedGroups that the provider knows, most preferred first; one the client has sent a share for goes before. */
  readonly groups: readonly number[];
  /** Protocol names, most preferred first; empty: ALPN is ignored. One character is one byte. */
  readonly alpn: readonly string[];
  /** undefined ends the handshake: unrecognized_name when the client named a server, else handshake_failure. */
  selectCredential(offer: ClientOffer): ServerCredential | undefined;
  /** Bytes of records a client may send until its Finished; also the bound of one message. */
  readonly maxHandshakeBytes: number;
}

export interface HandshakeInfo {
  readonly suite: number;
  readonly group: number;
  readonly alpn: string | undefined;
  readonly serverName: string | undefined;
  /** SignatureScheme of the CertificateVerify. */
  readonly scheme: number;
  readonly helloRetry: boolean;
}

export type ServerEvent =
  /** Bytes for the wire, records already made. */
  | { readonly type: 'send'; readonly bytes: Uint8Array }
  /** To be answered with `provideSignature`. Until then input is kept and nothing else happens. */
  | {
      readonly type: 'sign';
      readonly credential: ServerCredential;
      readonly scheme: number;
      readonly data: Uint8Array;
    }
  /** The last event of a handshake that succeeded. `leftover`: ciphertext that came after the Finished. */
  | {
      readonly type: 'established';
      readonly tx: TrafficSecret;
      readonly rx: TrafficSecret;
      readonly info: HandshakeInfo;
      readonly leftover: Uint8Array;
      readonly update: UpdateSecrets;
    }
  /** The last event of one that did not. `bytes`: the alert to send, empty when the peer has ended it. */
  | {
      readonly type: 'fail';
      readonly reason: Reason;
      readonly alert: number | undefined;
      /** AlertDescription that the peer has sent; undefined when it was not the peer who gave up. */
      readonly received: number | undefined;
      readonly bytes: Uint8Array;
    };

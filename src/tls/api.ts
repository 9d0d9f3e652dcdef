/** What a caller gives to, and gets from, a handshake of either role. */
import type { Reason } from './alerts.ts';
import type { Resumption } from './session/api.ts';
import type { TrafficSecret, UpdateSecrets } from './traffic.ts';

/** A chain and what its key can sign; the key itself stays with the caller, who answers 'sign' events. */
export interface Credential {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  /** SignatureSchemes that the key can sign with, most preferred first. */
  readonly schemes: readonly number[];
  /**
   * Those for TLS 1.2, which has RSA PKCS#1 v1.5 besides and ties no curve to a hash; default: `schemes`, which is
   * read in any case, for the curve of the key.
   */
  readonly schemes12?: readonly number[];
  /** DER OCSPResponse for the leaf, sent to peers that ask for one. */
  readonly ocspResponse?: Uint8Array | undefined;
  /** SignedCertificateTimestampList of the leaf (RFC 6962 3.3), likewise. */
  readonly sctList?: Uint8Array | undefined;
}

/** Keying material for other protocols, bound to the connection (RFC 8446 7.5, RFC 5705). */
export interface Exporter {
  /**
   * `label`: at most 249 ASCII characters; `length`: 1 to 255 times the length of the suite's hash, in bytes. Throws
   * RangeError for others, Error after `wipe`, and SocryptError ERR_SOCRYPT_TLS_EXPORT_UNBOUND in TLS 1.2 without the extended
   * master secret.
   */
  export(label: string, context: Uint8Array | undefined, length: number): Uint8Array;
  /** Zeroises the secret. Whoever takes the 'established' event must call it. */
  wipe(): void;
}

/**
 * Told each secret of a connection, by its label in the key log format of NSS (SSLKEYLOGFILE). Whoever has them reads all of
 * the connection. The arrays are wiped later: copy what is kept.
 */
export type KeyLog = (label: string, clientRandom: Uint8Array, secret: Uint8Array) => void;

/** What both roles are configured with. */
export interface HandshakeConfig {
  /** Protocol versions, 0x0304 and 0x0303. */
  readonly versions: readonly number[];
  /** Cipher suites of all versions, most preferred first. */
  readonly suites: readonly number[];
  /** NamedGroups that the provider knows, most preferred first. */
  readonly groups: readonly number[];
  /** Protocol names, most preferred first; empty: ALPN is not spoken. One character is one byte. */
  readonly alpn: readonly string[];
  /** Bytes of records a peer may send until its Finished; also the bound of one message. */
  readonly maxHandshakeBytes: number;
  /** undefined: secrets leave the connection for the data plane only. */
  readonly keyLog?: KeyLog | undefined;
}

export interface HandshakeInfo {
  /** 0x0304 or 0x0303. */
  readonly version: number;
  readonly suite: number;
  /** 0 when a client resumes a session of TLS 1.2, in which no key is exchanged. */
  readonly group: number;
  readonly alpn: string | undefined;
  /** The name the client asked for. */
  readonly serverName: string | undefined;
  /** SignatureScheme the server proved itself with. */
  readonly scheme: number;
  readonly helloRetry: boolean;
  /** Whether a session was resumed, and why one that was offered was not. */
  readonly resumption: Resumption;
  /** NewSessionTicket messages that were sent, or received, within the handshake. */
  readonly tickets: number;
  /** The peer's certificates as they were verified, DER, leaf first; of a resumed session: those it began with. */
  readonly peerCertificates: readonly Uint8Array[];
  /** Bytes of content that a record to the peer may have (RFC 8449): 63 to 16384. */
  readonly maxFragment: number;
}

/** Why a caller refuses a peer's certificate; each has its alert (RFC 8446 6.2). */
export type CertificateRefusal = Extract<Reason, `certificate_${string}`>;

export type HandshakeEvent =
  /** Bytes for the wire, records already made. */
  | { readonly type: 'send'; readonly bytes: Uint8Array }
  /** To be answered with `provideSignature`. Until then input is kept and nothing else happens. */
  | {
      readonly type: 'sign';
      readonly credential: Credential;
      readonly scheme: number;
      readonly data: Uint8Array;
    }
  /** The peer's certificate, its possession proven; to be answered with `provideVerification`. Input waits. */
  | {
      readonly type: 'verify';
      /** DER, leaf first, as the peer sent it. */
      readonly chain: readonly Uint8Array[];
      /** DER OCSPResponse that the server stapled. */
      readonly ocspResponse: Uint8Array | undefined;
      /** SignedCertificateTimestampList of the leaf (RFC 6962 3.3). */
      readonly sctList: Uint8Array | undefined;
      /** SignatureScheme of the proof; absent when a session is about to be resumed, which proves it otherwise. */
      readonly scheme?: number;
    }
  /** A client's: a session to offer to the same server later. Opaque, and secret. Also after the handshake. */
  | { readonly type: 'ticket'; readonly session: Uint8Array }
  /** The last event of a handshake that succeeded. `leftover`: ciphertext that came after the Finished. */
  | {
      readonly type: 'established';
      readonly tx: TrafficSecret;
      readonly rx: TrafficSecret;
      readonly info: HandshakeInfo;
      readonly leftover: Uint8Array;
      /** What KeyUpdate needs; empty in TLS 1.2, which has none. */
      readonly update: UpdateSecrets;
      readonly exporter: Exporter;
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

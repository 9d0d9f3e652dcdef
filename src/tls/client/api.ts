/** What a client is configured with. */
import type { Credential, HandshakeConfig } from '../api.ts';

export interface ClientConfig extends HandshakeConfig {
  /** Host name for server_name, in lower case and without a final dot; undefined: none is sent, as for IP addresses. */
  readonly serverName: string | undefined;
  /** SignatureSchemes that a server may prove itself with, most preferred first. */
  readonly signatureSchemes: readonly number[];
  /** Those of `groups` that get a share in the first hello; each costs a key. None asks for a HelloRetryRequest. */
  readonly keyShareGroups: readonly number[];
  /** Ask for a stapled OCSP response, for SignedCertificateTimestamps. */
  readonly requestOcsp: boolean;
  readonly requestScts: boolean;
  /** Distinguished names, DER, of the authorities whose certificates are liked; empty: not said. */
  readonly certificateAuthorities: readonly Uint8Array[];
  /** RFC 8446 D.4: a session id and ChangeCipherSpecs, for middleboxes that know no TLS 1.3. */
  readonly compatibilityMode: boolean;
  /** What a 'ticket' event gave, to be resumed; one that is not for this server, or over, is not offered. */
  readonly session?: Uint8Array | undefined;
  /** Milliseconds since the Unix epoch; undefined: sessions are neither offered nor taken. */
  readonly now?: (() => number) | undefined;
  /** Who we are, when the server asks; undefined: nobody. */
  selectCredential(request: CertificateRequest): Credential | undefined;
}

/** Alike in both versions; fields are copies. */
export interface CertificateRequest {
  /** SignatureSchemes that the server takes for the handshake. */
  readonly signatureSchemes: readonly number[];
  /** Distinguished names, DER; empty: any. */
  readonly certificateAuthorities: readonly Uint8Array[];
}

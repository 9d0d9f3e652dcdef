/** The proof that a peer has the key of its certificate, in TLS 1.3 (RFC 8446 4.4.3). */
import { parseCertificate } from '../x509/certificate.ts';
import { readPublicKey } from '../x509/verify/public-key.ts';
import { schemesForKey } from '../x509/verify/signature.ts';
import { TlsError } from './alerts.ts';
import type { CryptoProvider } from './crypto-provider.ts';

/** SubjectPublicKeyInfo of a leaf, DER. */
export function readPeerKey(leaf: Uint8Array): Uint8Array {
  try {
    return parseCertificate(leaf, "the peer's certificate").spki;
  } catch {
    throw new TlsError('malformed_certificate');
  }
}

export interface ClaimedSignature {
  readonly scheme: number;
  /** SignatureSchemes that the peer was told of. */
  readonly offered: readonly number[];
  readonly spki: Uint8Array;
  readonly data: Uint8Array;
  readonly signature: Uint8Array;
}

export function requireSignature(provider: CryptoProvider, claimed: ClaimedSignature): void {
  const { scheme, spki } = claimed;
  // RFC 8446 4.4.3: "the signature algorithm MUST be one offered in the client's "signature_algorithms" extension";
  // of a client: "MUST be one of those present in the supported_signature_algorithms field".
  if (!claimed.offered.includes(scheme)) throw new TlsError('scheme_not_offered');
  const key = readPublicKey(spki);
  if (!('facts' in key)) throw new TlsError('unsupported_certificate_key');
  // RFC 8446 4.2.3: in TLS 1.3 a scheme names its curve, and PKCS#1 v1.5 signs no handshake.
  // RFC 8446 4.4.3: "the signature algorithm MUST be compatible with the key in the sender's end-entity certificate".
  if (!schemesForKey(key.facts, '1.3').includes(scheme)) throw new TlsError('scheme_does_not_fit_key');
  // RFC 8446 4.4.3: "The receiver of a CertificateVerify message MUST verify the signature field."; "If the
  // verification fails, the receiver MUST terminate the handshake with a "decrypt_error" alert."
  if (!provider.verify(scheme, spki, claimed.data, claimed.signature)) throw new TlsError('bad_signature');
}

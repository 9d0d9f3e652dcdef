/** The proof that a peer has the key of its certificate, in TLS 1.2 (RFC 5246 7.4.3, 7.4.8). */
import { parseCertificate } from '../../x509/certificate.ts';
import { readPublicKey } from '../../x509/verify/public-key.ts';
import { schemesForKey } from '../../x509/verify/signature.ts';
import { TlsError } from '../alerts.ts';
import { type Authentication, authenticationOf, NamedGroup } from '../codepoints.ts';
import type { CryptoProvider } from '../crypto-provider.ts';

export interface ClaimedSignature12 {
  /** The peer's certificate, DER. */
  readonly leaf: Uint8Array;
  /** What the suite says must sign; undefined: it says nothing about this signature. */
  readonly authentication: Authentication | undefined;
  /** SignatureSchemes that the peer was told of. */
  readonly offered: readonly number[];
  /** NamedGroups that a key on a curve may be on; undefined: any that is implemented. */
  readonly groups: readonly number[] | undefined;
  readonly scheme: number;
  readonly data: Uint8Array;
  readonly signature: Uint8Array;
}

const GROUP_OF_CURVE: Readonly<Record<string, number>> = {
  'P-256': NamedGroup.secp256r1,
  'P-384': NamedGroup.secp384r1,
};

export function requireSignature12(provider: CryptoProvider, claimed: ClaimedSignature12): void {
  const { scheme, authentication, groups } = claimed;
  // RFC 5246 7.4.3: the pair "MUST be a pair listed in that extension".
  // RFC 5246 7.4.8: of a client "MUST be one of those present in the supported_signature_algorithms field of the
  // CertificateRequest".
  const kind = authenticationOf(scheme);
  if (kind === undefined || !claimed.offered.includes(scheme)) throw new TlsError('scheme_not_offered');
  // RFC 5246 7.4.2: "public key (and associated restrictions) MUST be compatible with the selected key exchange
  // algorithm".
  // RFC 8422 5.3: "Certificate MUST contain an ECDSA-or EdDSA-capable".
  if (authentication !== undefined && kind !== authentication) throw new TlsError('scheme_does_not_fit_key');
  const spki = spkiOf(claimed.leaf);
  const key = readPublicKey(spki);
  if (!('facts' in key)) throw new TlsError('unsupported_certificate_key');
  // RFC 5246 7.4.3: "the hash and signature algorithms MUST be compatible with the key in the server's end-entity
  // certificate", and RFC 5246 7.4.8: "compatible with the key in the client's end-entity certificate".
  if (!schemesForKey(key.facts, '1.2').includes(scheme)) throw new TlsError('scheme_does_not_fit_key');
  // RFC 8422 5.3: "certificate MUST respect the client's choice of elliptic curves".
  const group = key.facts.type === 'ec' ? GROUP_OF_CURVE[key.facts.curve] : undefined;
  if (groups !== undefined && key.facts.type === 'ec' && (group === undefined || !groups.includes(group))) {
    throw new TlsError('unsupported_certificate_key');
  }
  if (!provider.verify(scheme, spki, claimed.data, claimed.signature)) throw new TlsError('bad_signature');
}

function spkiOf(leaf: Uint8Array): Uint8Array {
  try {
    return parseCertificate(leaf, "the peer's certificate").spki;
  } catch {
    throw new TlsError('malformed_certificate');
  }
}

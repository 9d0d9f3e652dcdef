/** Who the peer is: its certificate chain held against configured roots, and what is said of it in the handshake. */
import { SocryptError } from '../errors.ts';
import type { Reason } from '../tls/alerts.ts';
import { readCertificates } from '../x509/certificate.ts';
import { type RevocationList, readRevocationLists } from '../x509/verify/crl.ts';
import { KnownIntermediates, TrustAnchors } from '../x509/verify/link.ts';
import type { RefusalReason } from '../x509/verify/refusal.ts';
import type { RevocationPolicy } from '../x509/verify/revocation.ts';
import type { Purpose } from '../x509/verify/rules.ts';
import { verifyChain } from '../x509/verify/verify-chain.ts';
import { readBounded } from './files.ts';
import { MAX_ROOTS, systemRoots } from './system-roots.ts';

/** Contents (PEM or DER), or the file that holds them. */
export type PeerVerifierInput = string | Uint8Array | { readonly file: string };

export interface PeerVerifierOptions {
  /** Certificates of the authorities to trust; 'system': those that this machine trusts. */
  readonly roots: 'system' | PeerVerifierInput | readonly PeerVerifierInput[];
  /** What peers' certificates must be for: a server asks for 'clientAuth', a client for 'serverAuth'. */
  readonly purpose: Purpose;
  /** Revocation lists; with any, each certificate below a root must be covered by a current one unless `revocation` says otherwise. */
  readonly crls?: PeerVerifierInput | readonly PeerVerifierInput[];
  readonly revocation?: Omit<RevocationPolicy, 'lists'>;
  /** Milliseconds since 1970. Default: Date.now. */
  readonly clock?: () => number;
}

export interface PeerQuery {
  /**
   * Host name (A-labels) or IP address that a server must be. Without it no server is accepted, since any holder of any
   * certificate would do.
   */
  readonly serverName?: string | undefined;
  /** In place of the one of the options. */
  readonly purpose?: Purpose;
}

export interface PeerRefusal {
  /** Of the handshake: which alert the peer gets. */
  readonly reason: CertificateReason;
  readonly refusal: RefusalReason;
  /** For logs; nothing of it is sent. */
  readonly detail: string;
}

export interface PeerVerifier {
  /** `chain`: DER as it came, leaf first. undefined: the peer is who it says. Never throws for what is in `chain`. */
  verify(chain: readonly Uint8Array[], query?: PeerQuery): PeerRefusal | undefined;
}

export type CertificateReason = Extract<Reason, `certificate_${string}`>;

/** RFC 8446 6.2, and where that leaves a choice, as OpenSSL chooses. */
export const TLS_REASON_OF: Readonly<Record<RefusalReason, CertificateReason>> = {
  no_certificate: 'certificate_bad',
  chain_too_large: 'certificate_bad',
  malformed: 'certificate_bad',
  unsupported_key: 'certificate_unsupported',
  weak_key: 'certificate_bad',
  signature_algorithm_mismatch: 'certificate_bad',
  // RFC 8446 4.4.2.4: bad_certificate for MD5, and recommended for SHA-1.
  unsupported_signature_algorithm: 'certificate_bad',
  bad_signature: 'certificate_bad',
  unknown_issuer: 'certificate_unknown_issuer',
  // RFC 8446 6.2: certificate_expired is for one that "has expired or is not currently valid".
  not_yet_valid: 'certificate_expired',
  expired: 'certificate_expired',
  unknown_critical_extension: 'certificate_unsupported',
  issuer_not_ca: 'certificate_unknown_issuer',
  path_length_exceeded: 'certificate_unknown_issuer',
  key_usage: 'certificate_unsupported',
  extended_key_usage: 'certificate_unsupported',
  name_constraint: 'certificate_bad',
  unsupported_name_constraint: 'certificate_unsupported',
  name_mismatch: 'certificate_bad',
  revoked: 'certificate_revoked',
  revocation_unknown: 'certificate_unknown',
  revocation_stale: 'certificate_unknown',
  path_too_long: 'certificate_unknown_issuer',
  path_too_complex: 'certificate_unknown',
  internal_error: 'certificate_unknown',
};

/**
 * Throws SocryptError for what cannot be read, the option named: ERR_SOCRYPT_ROOTS_MISSING (an empty list), ERR_SOCRYPT_CRL_MISSING
 * (likewise), and the codes of readBounded, readCertificates, readRevocationLists and systemRoots.
 */
export function createPeerVerifier(options: PeerVerifierOptions): PeerVerifier {
  const anchors = options.roots === 'system' ? systemRoots() : rootsOf(listOf(options.roots));
  const { clock = Date.now } = options;
  const known = new KnownIntermediates();
  const revocation: RevocationPolicy | undefined =
    options.crls === undefined ? undefined : { ...options.revocation, lists: listsOf(listOf(options.crls)) };
  return {
    verify(chain, query = {}) {
      const { serverName, purpose = options.purpose } = query;
      if (purpose === 'serverAuth' && serverName === undefined) {
        return refused('name_mismatch', 'no server name was given that the certificate could be for');
      }
      const now = new Date(clock());
      const verdict = verifyChain({ chain, anchors, purpose, serverName, now, revocation, known });
      return verdict.ok ? undefined : refused(verdict.reason, verdict.detail);
    },
  };
}

function refused(refusal: RefusalReason, detail: string): PeerRefusal {
  return { reason: TLS_REASON_OF[refusal], refusal, detail };
}

function rootsOf(inputs: readonly PeerVerifierInput[]): TrustAnchors {
  if (inputs.length === 0) {
    throw new SocryptError(
      'ERR_SOCRYPT_ROOTS_MISSING',
      "roots: expected certificates of authorities, or 'system', but the list is empty. Without roots no peer can be verified.",
    );
  }
  return new TrustAnchors(
    inputs.flatMap((input) => {
      const { bytes, source } = contentOf(input, 'roots');
      return readCertificates(bytes, source, MAX_ROOTS);
    }),
  );
}

function listsOf(inputs: readonly PeerVerifierInput[]): RevocationList[] {
  if (inputs.length === 0) {
    throw new SocryptError(
      'ERR_SOCRYPT_CRL_MISSING',
      'crls: expected revocation lists, but the list is empty. Leave the option out to check no revocation.',
    );
  }
  return inputs.flatMap((input) => {
    const { bytes, source } = contentOf(input, 'crls');
    return readRevocationLists(bytes, source);
  });
}

function listOf(inputs: PeerVerifierInput | readonly PeerVerifierInput[]): readonly PeerVerifierInput[] {
  return typeof inputs === 'string' || inputs instanceof Uint8Array || 'file' in inputs ? [inputs] : inputs;
}

function contentOf(
  input: PeerVerifierInput,
  option: 'roots' | 'crls',
): { readonly bytes: Uint8Array; readonly source: string } {
  if (typeof input === 'string') return { bytes: new Uint8Array(Buffer.from(input, 'utf8')), source: option };
  if (input instanceof Uint8Array) return { bytes: input, source: option };
  const source = `${option} file ${input.file}`;
  return { bytes: readBounded(input.file, source), source };
}

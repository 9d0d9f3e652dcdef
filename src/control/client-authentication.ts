/** Clients that have to show a certificate: what is asked of them, and who may come in. */
import { createHash } from 'node:crypto';
import type { CertificateRefusal, ClientAuthentication } from '../tls/index.ts';
import { readCertificates } from '../x509/certificate.ts';
import { SIGNATURE_SCHEMES } from '../x509/verify/signature.ts';
import { createPeerVerifier, type PeerRefusal, type PeerVerifier } from './peer-verifier.ts';
import { MAX_ROOTS } from './system-roots.ts';

/** Values alone, so that another thread can be sent them. */
export interface ClientAuthenticationOptions {
  /** A client without a certificate is refused. */
  readonly required: boolean;
  /** Certificates of the authorities to trust, PEM or DER. */
  readonly roots: readonly Uint8Array[];
  /** Revocation lists; empty: revocation is not checked. */
  readonly crls: readonly Uint8Array[];
}

/** Bytes of names that go into every CertificateRequest; with more of them clients are not told. */
const MAX_AUTHORITIES = 8192;

export class ClientVerifier {
  readonly authentication: ClientAuthentication;
  /**
   * What a session is bound to (ServerConfig.sessionContext): the authorities, and whether a certificate is required. A
   * ticket made under another policy is of no use here (CVE-2025-23419). Revocation is not in it: what a client showed
   * is judged anew whenever it comes back.
   */
  readonly sessionContext: Uint8Array;
  readonly #verifier: PeerVerifier;

  /** Throws what createPeerVerifier throws. */
  constructor(options: ClientAuthenticationOptions) {
    const { required, roots, crls } = options;
    this.#verifier = createPeerVerifier({
      roots,
      purpose: 'clientAuth',
      ...(crls.length === 0 ? {} : { crls }),
    });
    const authorities = roots
      .flatMap((bytes) => readCertificates(bytes, 'roots', MAX_ROOTS))
      .map(({ der, subjectDer }) => ({ subjectDer, digest: createHash('sha256').update(der).digest('hex') }));
    const length = authorities.reduce((sum, { subjectDer }) => sum + 2 + subjectDer.length, 0);
    this.authentication = {
      required,
      schemes: SIGNATURE_SCHEMES,
      authorities: length > MAX_AUTHORITIES ? [] : authorities.map(({ subjectDer }) => subjectDer),
    };
    const digests = authorities.map(({ digest }) => digest).sort();
    const policy = ['client authentication', required ? 'required' : 'requested', ...digests].join('\n');
    this.sessionContext = Uint8Array.from(createHash('sha256').update(policy).digest());
  }

  /** undefined: the client is let in. `detail` is for the log. */
  verify(chain: readonly Uint8Array[]): (PeerRefusal & { readonly reason: CertificateRefusal }) | undefined {
    return this.#verifier.verify(chain);
  }
}

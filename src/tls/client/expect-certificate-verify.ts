import { parseCertificate } from '../../x509/certificate.ts';
import { publicKeyOf } from '../../x509/verify/public-key.ts';
import { schemesForKey } from '../../x509/verify/signature.ts';
import { TlsError } from '../alerts.ts';
import type { CertificateRefusal } from '../api.ts';
import { readCertificateVerify, signatureInput } from '../codec/certificate.ts';
import { HandshakeType } from '../codepoints.ts';
import type { HandshakeMessage } from '../handshake-joiner.ts';
import { requireType } from '../state.ts';
import { ExpectFinished } from './expect-finished.ts';
import { ProtectedState, type Proven, type Requested } from './progress.ts';
import type { ClientState, Connection } from './state.ts';

export interface PresentedCertificate {
  readonly chain: readonly Uint8Array[];
  readonly ocspResponse: Uint8Array | undefined;
  readonly sctList: Uint8Array | undefined;
}

export class ExpectCertificateVerify extends ProtectedState<Requested> {
  readonly name = 'ExpectCertificateVerify';
  readonly #presented: PresentedCertificate;

  constructor(progress: Requested, presented: PresentedCertificate) {
    super(progress);
    this.#presented = presented;
  }

  override receive(message: HandshakeMessage, connection: Connection): ClientState {
    requireType(message, HandshakeType.certificateVerify);
    const { progress } = this;
    const { scheme, signature } = readCertificateVerify(message.body);
    // RFC 8446 4.4.3: it "MUST be one offered in the client's "signature_algorithms" extension".
    if (!progress.offer.config.signatureSchemes.includes(scheme)) throw new TlsError('scheme_not_offered');
    const [leaf] = this.#presented.chain;
    const spki = spkiFor(leaf!, scheme);
    const input = signatureInput('server', progress.transcript.hash());
    if (!connection.provider.verify(scheme, spki, input, signature)) throw new TlsError('bad_signature');
    progress.transcript.add(message.whole);
    connection.emit({ type: 'verify', ...this.#presented });
    return new AwaitVerification({ ...progress, scheme });
  }
}

/**
 * The leaf's key, which fits the scheme. RFC 8446 4.4.3: the algorithm "MUST be compatible with the public key in the
 * sender's end-entity certificate"; 4.2.3 ties ECDSA to its curve and PKCS#1 v1.5 to certificates.
 */
function spkiFor(leaf: Uint8Array, scheme: number): Uint8Array {
  let spki: Uint8Array;
  try {
    ({ spki } = parseCertificate(leaf, 'the certificate of the peer'));
  } catch {
    throw new TlsError('malformed_certificate');
  }
  const key = publicKeyOf({ spki });
  if (key === undefined) throw new TlsError('unsupported_certificate_key');
  if (!schemesForKey(key, '1.3').includes(scheme)) throw new TlsError('scheme_does_not_fit_key');
  return spki;
}

/** The caller looks at the chain; no record is read meanwhile. */
class AwaitVerification extends ProtectedState<Proven> {
  readonly name = 'AwaitVerification';

  verified(refusal: CertificateRefusal | undefined): ClientState {
    if (refusal !== undefined) throw new TlsError(refusal);
    return new ExpectFinished(this.progress);
  }
}

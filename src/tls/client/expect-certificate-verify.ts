import { TlsError } from '../alerts.ts';
import type { CertificateRefusal } from '../api.ts';
import { readCertificateVerify, signatureInput } from '../codec/certificate.ts';
import { HandshakeType } from '../codepoints.ts';
import type { HandshakeMessage } from '../handshake-joiner.ts';
import { readPeerKey, requireSignature } from '../peer-signature.ts';
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
    const [leaf] = this.#presented.chain;
    requireSignature(connection.provider, {
      scheme,
      offered: progress.offer.config.signatureSchemes,
      spki: readPeerKey(leaf!),
      data: signatureInput('server', progress.transcript.hash()),
      signature,
    });
    progress.transcript.add(message.whole);
    connection.emit({ type: 'verify', ...this.#presented });
    return new AwaitVerification({ ...progress, scheme, peerCertificates: this.#presented.chain });
  }
}

/** The caller looks at the chain; no record is read meanwhile. */
class AwaitVerification extends ProtectedState<Proven> {
  readonly name = 'AwaitVerification';

  verified(refusal: CertificateRefusal | undefined): ClientState {
    if (refusal !== undefined) throw new TlsError(refusal);
    return new ExpectFinished(this.progress);
  }
}

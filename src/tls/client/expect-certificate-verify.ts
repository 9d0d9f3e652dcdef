import { readCertificateVerify, signatureInput } from '../codec/certificate.ts';
import { HandshakeType } from '../codepoints.ts';
import type { HandshakeMessage } from '../handshake-joiner.ts';
import { readPeerKey, requireSignature } from '../peer-signature.ts';
import { requireType } from '../state.ts';
import { verify } from './await-verification.ts';
import { type PresentedCertificate, ProtectedState, type Requested } from './progress.ts';
import type { ClientState, Connection } from './state.ts';

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
    return verify(connection, { ...progress, scheme, presented: this.#presented });
  }
}

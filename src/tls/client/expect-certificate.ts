import { TlsError } from '../alerts.ts';
import { copyBytes } from '../bytes.ts';
import { type CertificateEntry, readCertificate } from '../codec/certificate.ts';
import { readCertificateAuthorities, readCertificateRequest } from '../codec/certificate-request.ts';
import { readCertificateStatus, readSctList } from '../codec/certificate-status.ts';
import { type Extensions, readList16 } from '../codec/extensions.ts';
import { ExtensionType, HandshakeType } from '../codepoints.ts';
import type { HandshakeMessage } from '../handshake-joiner.ts';
import { requireType } from '../state.ts';
import { ALLOWED_IN, checkAnswered } from './answer.ts';
import type { CertificateRequest } from './api.ts';
import { ExpectCertificateVerify } from './expect-certificate-verify.ts';
import { type Extended, type PresentedCertificate, ProtectedState, type Requested } from './progress.ts';
import type { ClientState } from './state.ts';

export class ExpectCertificateOrRequest extends ProtectedState<Extended> {
  readonly name = 'ExpectCertificateOrRequest';

  override receive(message: HandshakeMessage): ClientState {
    const { progress } = this;
    if (message.type !== HandshakeType.certificateRequest) {
      return new ExpectCertificate({ ...progress, request: undefined }).receive(message);
    }
    const { requestContext, extensions } = readCertificateRequest(message.body);
    // RFC 8446 4.3.2: the context is for post-handshake authentication, "Otherwise" it "SHALL be zero length".
    if (requestContext.length !== 0) throw new TlsError('bad_request_context');
    progress.transcript.add(message.whole);
    return new ExpectCertificate({ ...progress, request: requestOf(extensions) });
  }
}

/** What is recognised here and has no place in a CertificateRequest (the table of RFC 8446 4.2). */
const NOT_IN_REQUEST: readonly number[] = [
  ExtensionType.serverName,
  ExtensionType.maxFragmentLength,
  ExtensionType.supportedGroups,
  ExtensionType.alpn,
  ExtensionType.preSharedKey,
  ExtensionType.earlyData,
  ExtensionType.supportedVersions,
  ExtensionType.cookie,
  ExtensionType.pskKeyExchangeModes,
  ExtensionType.keyShare,
];

/**
 * RFC 8446 4.3.2: "Clients MUST ignore unrecognized extensions." RFC 8446 9.3: "a client receiving a
 * CertificateRequest or NewSessionTicket MUST also ignore all unrecognized extensions".
 */
function requestOf(extensions: Extensions): CertificateRequest {
  if (NOT_IN_REQUEST.some((type) => extensions.has(type))) throw new TlsError('extension_in_wrong_message');
  const schemes = extensions.get(ExtensionType.signatureAlgorithms);
  // RFC 8446 4.3.2: "The "signature_algorithms" extension MUST be specified".
  if (schemes === undefined) throw new TlsError('missing_signature_algorithms');
  const authorities = extensions.get(ExtensionType.certificateAuthorities);
  const certificateSchemes = extensions.get(ExtensionType.signatureAlgorithmsCert);
  if (certificateSchemes !== undefined) readList16(certificateSchemes, 2);
  return {
    signatureSchemes: readList16(schemes, 2),
    certificateAuthorities:
      authorities === undefined ? [] : readCertificateAuthorities(authorities).map(copyBytes),
  };
}

class ExpectCertificate extends ProtectedState<Requested> {
  readonly name = 'ExpectCertificate';

  override receive(message: HandshakeMessage): ClientState {
    requireType(message, HandshakeType.certificate);
    const { progress } = this;
    const { requestContext, entries } = readCertificate(message.body);
    // RFC 8446 4.4.2: in server authentication the context "SHALL be zero length".
    if (requestContext.length !== 0) throw new TlsError('bad_request_context');
    const [leaf] = entries;
    // RFC 8446 4.4.2.4: "If the server supplies an empty Certificate message": decode_error.
    // RFC 8446 4.4.2: "The server's certificate_list MUST always be non-empty."
    if (leaf === undefined) throw new TlsError('empty_certificate');
    // RFC 8446 4.4.2: "Extensions in the Certificate message from the server MUST correspond to ones from the
    // ClientHello".
    for (const { extensions } of entries) checkAnswered(extensions, ALLOWED_IN.certificate, progress.offer);
    progress.transcript.add(message.whole);
    return new ExpectCertificateVerify(progress, presented(leaf, entries));
  }
}

function presented(leaf: CertificateEntry, entries: readonly CertificateEntry[]): PresentedCertificate {
  let ocspResponse: Uint8Array | undefined;
  let sctList: Uint8Array | undefined;
  for (const { extensions } of entries) {
    const status = extensions.get(ExtensionType.statusRequest);
    const scts = extensions.get(ExtensionType.signedCertificateTimestamp);
    const staple = status && copyBytes(readCertificateStatus(status));
    const list = scts && copyBytes(readSctList(scts));
    if (extensions !== leaf.extensions) continue;
    ocspResponse = staple;
    sctList = list;
  }
  return { chain: entries.map(({ certificate }) => copyBytes(certificate)), ocspResponse, sctList };
}

import { ExtensionType, HandshakeType } from '../codepoints.ts';
import { type Extensions, readExtensions } from './extensions.ts';
import { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

export interface CertificateRequestMessage {
  readonly requestContext: Uint8Array;
  readonly extensions: Extensions;
}

/** RFC 8446 4.3.2. */
export function readCertificateRequest(body: Uint8Array): CertificateRequestMessage {
  const reader = new Reader(body);
  const requestContext = reader.bytes8(0);
  const extensions = readExtensions(reader.nested16(0));
  reader.expectEnd();
  return { requestContext, extensions };
}

/** RFC 8446 4.2.4: DistinguishedNames, DER. `min`: bytes of the list; in TLS 1.2 it may be empty. */
export function readCertificateAuthorities(reader: Reader, min = 3): Uint8Array[] {
  const list = reader.nested16(min);
  reader.expectEnd();
  const names: Uint8Array[] = [];
  while (list.remaining > 0) names.push(list.bytes16(1));
  return names;
}

/**
 * RFC 8446 4.3.2: within a handshake the request context "SHALL be zero length". `authorities`: none is any. RFC 8446
 * 4.3.2: "The certificate_request_context MUST be unique within the scope of this connection": there is no second
 * one.
 */
export function writeCertificateRequest(
  writer: Writer,
  request: { readonly schemes: readonly number[]; readonly authorities: readonly Uint8Array[] },
): void {
  const message = writer.openMessage(HandshakeType.certificateRequest);
  writer.u8(0);
  const extensions = writer.open(2);
  writer.u16(ExtensionType.signatureAlgorithms);
  const schemes = writer.open(2);
  writer.list16(2, request.schemes);
  writer.close(schemes, 2);
  if (request.authorities.length > 0) {
    writer.u16(ExtensionType.certificateAuthorities);
    const extension = writer.open(2);
    const list = writer.open(2);
    for (const name of request.authorities) writer.vector(2, name);
    writer.close(list, 2);
    writer.close(extension, 2);
  }
  writer.close(extensions, 2);
  writer.closeMessage(message);
}

import { type Extensions, readExtensions } from './extensions.ts';
import { Reader } from './reader.ts';

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

/** RFC 8446 4.2.4: DistinguishedNames, DER. */
export function readCertificateAuthorities(reader: Reader): Uint8Array[] {
  const list = reader.nested16(3);
  reader.expectEnd();
  const names: Uint8Array[] = [];
  while (list.remaining > 0) names.push(list.bytes16(1));
  return names;
}

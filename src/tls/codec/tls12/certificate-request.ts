/** CertificateRequest (RFC 5246 7.4.4). */
import { type Authentication, HandshakeType } from '../../codepoints.ts';
import { readCertificateAuthorities } from '../certificate-request.ts';
import { Reader } from '../reader.ts';
import type { Writer } from '../writer.ts';

/** ClientCertificateType: rsa_sign and ecdsa_sign, the latter for Ed25519 as well (RFC 8422 5.5). */
const TYPES: Readonly<Record<Authentication, number>> = { ecdsa: 64, rsa: 1 };

export interface CertificateRequest12 {
  /** What the client's key may be. */
  readonly authentications: readonly Authentication[];
  readonly schemes: readonly number[];
  /** Distinguished names, DER; empty: any. */
  readonly authorities: readonly Uint8Array[];
}

export function writeCertificateRequest12(writer: Writer, request: CertificateRequest12): void {
  const message = writer.openMessage(HandshakeType.certificateRequest);
  writer.vector(
    1,
    Uint8Array.from(request.authentications, (authentication) => TYPES[authentication]),
  );
  writer.list16(2, request.schemes);
  const list = writer.open(2);
  for (const name of request.authorities) writer.vector(2, name);
  writer.close(list, 2);
  writer.closeMessage(message);
}

/** Types that are not known here are passed over. */
export function readCertificateRequest12(body: Uint8Array): CertificateRequest12 {
  const reader = new Reader(body);
  const types = reader.bytes8(1);
  const schemes = reader.list16(2);
  const authorities = readCertificateAuthorities(reader, 0);
  return {
    authentications: (['ecdsa', 'rsa'] as const).filter((each) => types.includes(TYPES[each])),
    schemes,
    authorities,
  };
}

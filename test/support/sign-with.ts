import { constants, type KeyObject, sign } from 'node:crypto';

/** A signature by node:crypto as a SignatureScheme says. */
export function signWith(key: KeyObject, scheme: number, data: Uint8Array): Uint8Array {
  const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  switch (scheme) {
    case 0x0401:
    case 0x0403:
      return sign('sha256', data, key);
    case 0x0501:
    case 0x0503:
      return sign('sha384', data, key);
    case 0x0601:
    case 0x0603:
      return sign('sha512', data, key);
    case 0x0804:
      return sign('sha256', data, pss);
    case 0x0805:
      return sign('sha384', data, pss);
    case 0x0806:
      return sign('sha512', data, pss);
    case 0x0807:
      return sign(null, data, key);
    default:
      throw new Error(`asked to sign with scheme 0x${scheme.toString(16)}`);
  }
}

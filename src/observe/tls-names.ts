/** IANA TLS Cipher Suites and TLS Supported Groups, as far as they can be negotiated: names by code point. */

export const SUITE_NAMES: Readonly<Record<number, string>> = {
  4865: 'TLS_AES_128_GCM_SHA256',
  4866: 'TLS_AES_256_GCM_SHA384',
  4867: 'TLS_CHACHA20_POLY1305_SHA256',
  49195: 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  49196: 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
  49199: 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  49200: 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
  52392: 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256',
  52393: 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
};

export const GROUP_NAMES: Readonly<Record<number, string>> = {
  23: 'secp256r1',
  24: 'secp384r1',
  29: 'x25519',
  4588: 'X25519MLKEM768',
};

/** RFC 8446 B.4: the suites of TLS 1.3 have a first byte of their own. */
export function versionOfSuite(suite: number): 'TLSv1.3' | 'TLSv1.2' {
  return suite >> 8 === 0x13 ? 'TLSv1.3' : 'TLSv1.2';
}

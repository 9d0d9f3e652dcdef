/** IANA TLS Cipher Suites and TLS Supported Groups, as far as they can be negotiated: names by code point. */

export const SUITE_NAMES: Readonly<Record<number, string>> = {
  4865: 'TLS_AES_128_GCM_SHA256',
  4866: 'TLS_AES_256_GCM_SHA384',
  4867: 'TLS_CHACHA20_POLY1305_SHA256',
};

export const GROUP_NAMES: Readonly<Record<number, string>> = {
  23: 'secp256r1',
  24: 'secp384r1',
  29: 'x25519',
  4588: 'X25519MLKEM768',
};

/** The cipher suites that are implemented, of TLS 1.3 (RFC 8446 B.4) and TLS 1.2, and their lengths in bytes. */
import { type Authentication, TLS12, TLS13 } from './codepoints.ts';
import type { HashName } from './crypto-provider.ts';

export interface Suite {
  readonly id: number;
  /** The protocol version it belongs to. */
  readonly version: number;
  /** Of the key schedule, the transcript and, in TLS 1.2, the PRF. */
  readonly hash: HashName;
  readonly hashLength: number;
  readonly keyLength: number;
  /** The suite of TLS 1.3 with the same AEAD, by which the provider knows it. */
  readonly aead: number;
  /** What the key schedule gives for the nonce. */
  readonly ivLength: number;
  /** What each record brings along for the nonce. */
  readonly explicitNonceLength: number;
  /** undefined in TLS 1.3, whose suites do not say. */
  readonly authentication: Authentication | undefined;
}

/**
 * Nonce and tag have the same length in all of them. RFC 8446 5.2: "MUST NOT produce an expansion greater than 255
 * octets". RFC 8446 5.3: "An AEAD algorithm where N_MAX is less than 8 bytes MUST NOT be used".
 * RFC 5246 6.2.3.3: "Each AEAD cipher MUST NOT produce an expansion of greater than 1024 bytes."
 */
export const IV_LENGTH = 12;
export const TAG_LENGTH = 16;

const AES_128_GCM_SHA256: Suite = {
  id: 0x1301,
  version: TLS13,
  hash: 'sha256',
  hashLength: 32,
  keyLength: 16,
  aead: 0x1301,
  ivLength: IV_LENGTH,
  explicitNonceLength: 0,
  authentication: undefined,
};
const AES_256_GCM_SHA384: Suite = {
  ...AES_128_GCM_SHA256,
  id: 0x1302,
  hash: 'sha384',
  hashLength: 48,
  keyLength: 32,
  aead: 0x1302,
};
const CHACHA20_POLY1305_SHA256: Suite = {
  ...AES_128_GCM_SHA256,
  id: 0x1303,
  keyLength: 32,
  aead: 0x1303,
};

/** RFC 5288 3: a salt of four bytes, and eight that travel with the record. */
const gcm12 = (id: number, of: Suite, authentication: Authentication): Suite => ({
  ...of,
  id,
  version: TLS12,
  ivLength: 4,
  explicitNonceLength: 8,
  authentication,
});
/** RFC 7905 2: the nonce is made as TLS 1.3 makes it. */
const chacha12 = (id: number, authentication: Authentication): Suite => ({
  ...CHACHA20_POLY1305_SHA256,
  id,
  version: TLS12,
  authentication,
});

// RFC 8446 9.1: "MUST implement the TLS_AES_128_GCM_SHA256". RFC 8446 D.5: "Implementations MUST NOT offer or
// negotiate RC4 cipher suites"; "Ciphers with a strength less than 112 bits MUST NOT be offered or negotiated".
// RFC 5246 A.5: TLS_NULL_WITH_NULL_NULL "MUST NOT be negotiated"; without a certificate: "MUST NOT be used by TLS 1.2
// implementations unless".
const SUITES: ReadonlyMap<number, Suite> = new Map(
  [
    AES_128_GCM_SHA256,
    AES_256_GCM_SHA384,
    CHACHA20_POLY1305_SHA256,
    // TLS_ECDHE_{ECDSA,RSA}_WITH_AES_{128,256}_GCM_… (RFC 5289 3.2)
    gcm12(0xc02b, AES_128_GCM_SHA256, 'ecdsa'),
    gcm12(0xc02c, AES_256_GCM_SHA384, 'ecdsa'),
    gcm12(0xc02f, AES_128_GCM_SHA256, 'rsa'),
    gcm12(0xc030, AES_256_GCM_SHA384, 'rsa'),
    // TLS_ECDHE_{RSA,ECDSA}_WITH_CHACHA20_POLY1305_SHA256 (RFC 7905 2)
    chacha12(0xcca8, 'rsa'),
    chacha12(0xcca9, 'ecdsa'),
  ].map((suite) => [suite.id, suite]),
);

/** The protocol versions that these suites belong to, the highest first. */
export function versionsOf(suites: readonly number[]): number[] {
  const has = (version: number) => suites.some((id) => suiteById(id)?.version === version);
  return [TLS13, TLS12].filter(has);
}

export function suiteById(id: number): Suite | undefined {
  return SUITES.get(id);
}

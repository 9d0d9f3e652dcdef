/** The TLS 1.3 cipher suites (RFC 8446 B.4) that are implemented, and their lengths in bytes. */
import type { HashName } from './crypto-provider.ts';

export interface Suite {
  readonly id: number;
  readonly hash: HashName;
  readonly hashLength: number;
  readonly keyLength: number;
}

/** Nonce and tag have the same length in all of them. */
export const IV_LENGTH = 12;
export const TAG_LENGTH = 16;

const AES_128_GCM_SHA256: Suite = { id: 0x1301, hash: 'sha256', hashLength: 32, keyLength: 16 };
const AES_256_GCM_SHA384: Suite = { id: 0x1302, hash: 'sha384', hashLength: 48, keyLength: 32 };
const CHACHA20_POLY1305_SHA256: Suite = { id: 0x1303, hash: 'sha256', hashLength: 32, keyLength: 32 };

export function suiteById(id: number): Suite | undefined {
  switch (id) {
    case 0x1301:
      return AES_128_GCM_SHA256;
    case 0x1302:
      return AES_256_GCM_SHA384;
    case 0x1303:
      return CHACHA20_POLY1305_SHA256;
    default:
      return undefined;
  }
}

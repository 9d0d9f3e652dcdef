import { TLS12 } from '../codepoints.ts';

/**
 * RFC 8446 5.1: legacy_record_version is 0x0303 whatever is spoken (a first ClientHello may say 0x0301). RFC 8446
 * 5.1: "a second ClientHello or a ServerHello MUST have version 0x0303". RFC 8446 D.5: "Implementations MUST NOT send
 * any records with a version less than 0x0300."
 */
export function recordHeader(type: number, length: number, version = TLS12): Uint8Array {
  return Uint8Array.of(type, version >> 8, version & 0xff, length >> 8, length & 0xff);
}

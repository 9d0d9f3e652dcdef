import { copyBytes } from '../../bytes.ts';
import { DOWNGRADE_TO_12, HELLO_RANDOM, TLS13 } from '../../codepoints.ts';
import type { CryptoProvider } from '../../crypto-provider.ts';
import type { ServerConfig } from '../api.ts';

/**
 * RFC 8446 4.1.3: "TLS 1.3 servers which negotiate TLS 1.2 or below in response to a ClientHello MUST set the last 8
 * bytes of their Random value specially". All 32 are random otherwise: no gmt_unix_time.
 * RFC 8446 4.1.3: "If negotiating TLS 1.2, TLS 1.3 servers MUST set the last 8 bytes"; "The last 8 bytes MUST be
 * overwritten as described below". RFC 5246 7.4.1.3: "MUST be independently generated from the ClientHello.random".
 */
export function serverRandom(config: ServerConfig, provider: CryptoProvider): Uint8Array {
  const random = copyBytes(provider.randomBytes(HELLO_RANDOM));
  if (config.versions.includes(TLS13)) random.set(DOWNGRADE_TO_12, HELLO_RANDOM - DOWNGRADE_TO_12.length);
  return random;
}

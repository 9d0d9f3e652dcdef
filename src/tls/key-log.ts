/** Opt-in: the secrets of a connection for whoever looks for a fault in what is on the wire. */
import type { HandshakeConfig } from './api.ts';
import { copyBytes } from './bytes.ts';
import type { SecretLog } from './schedule/key-schedule.ts';

/** Lines of one connection are found by the random of its (first) ClientHello. */
export function secretLog({ keyLog }: HandshakeConfig, clientRandom: Uint8Array): SecretLog | undefined {
  if (keyLog === undefined) return undefined;
  const random = copyBytes(clientRandom);
  return (label, secret) => keyLog(label, random, secret);
}

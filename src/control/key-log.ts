/** Secrets of connections in a file, in the key log format of NSS, which Wireshark reads. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { SocryptError } from '../errors.ts';
import type { KeyLog } from '../tls/index.ts';

/** Nobody else may read it. */
const MODE = 0o600;

/**
 * Opened for appending, so that several threads write whole lines to one file. Throws ERR_SOCRYPT_KEYLOG. It stays open as long
 * as its thread. A line that cannot be written (a full disk) is left out, and harms no handshake.
 */
export function keyLogTo(path: string): KeyLog {
  const descriptor = open(path);
  return (label, clientRandom, secret) => {
    try {
      writeSync(descriptor, `${label} ${hex(clientRandom)} ${hex(secret)}\n`);
    } catch {
      // See above.
    }
  };
}

/** Throws ERR_SOCRYPT_KEYLOG when it cannot be written to. */
export function checkKeyLog(path: string): void {
  closeSync(open(path));
}

function open(path: string): number {
  try {
    return openSync(path, 'a', MODE);
  } catch (error) {
    throw new SocryptError(
      'ERR_SOCRYPT_KEYLOG',
      `keylog (--keylog ${path}): expected a file that can be written to, but ${(error as Error).message}. Check the path and its permissions.`,
    );
  }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');

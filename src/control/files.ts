import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { SocryptError } from '../errors.ts';

/** A chain of 16 large certificates in PEM has about 100 KB. */
export const MAX_CREDENTIAL_FILE_BYTES = 1024 * 1024;

const WHAT_TO_DO: Readonly<Record<string, string>> = {
  ENOENT: 'Check the path.',
  EACCES: 'Let the user that the server runs as read it (chown, chmod), and search the directories above it.',
  EPERM: 'Let the user that the server runs as read it.',
  EISDIR: 'Give a file.',
  ENOTDIR: 'Check the path.',
  ELOOP: 'Check the symbolic links.',
  EMFILE: 'Raise the limit on open files (ulimit -n).',
};
const WHAT_CAME: Readonly<Record<string, string>> = {
  ENOENT: 'there is none',
  EACCES: 'it may not be read',
  EPERM: 'it may not be read',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is no directory',
  ELOOP: 'its symbolic links lead round in a circle',
  EMFILE: 'too many files are open',
};

/**
 * A whole file of at most 1 MiB; pipes work too (`--key <(…)`). `name` begins the message ("private key file /etc/key.pem").
 * The intermediate buffer is zeroised. Throws ERR_SOCRYPT_FILE_UNREADABLE and ERR_SOCRYPT_FILE_TOO_LARGE.
 */
export function readBounded(path: string, name: string): Uint8Array {
  let descriptor: number | undefined;
  const buffer = new Uint8Array(MAX_CREDENTIAL_FILE_BYTES + 1);
  let length = 0;
  try {
    descriptor = openSync(path, 'r');
    if (fstatSync(descriptor).isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' });
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(descriptor, buffer, length, buffer.length - length, null);
    }
    if (length > MAX_CREDENTIAL_FILE_BYTES) {
      throw new SocryptError(
        'ERR_SOCRYPT_FILE_TOO_LARGE',
        `${name}: expected at most ${MAX_CREDENTIAL_FILE_BYTES} bytes, but there are more. Check that it is the right file.`,
      );
    }
    return buffer.slice(0, length);
  } catch (error) {
    if (error instanceof SocryptError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    throw new SocryptError(
      'ERR_SOCRYPT_FILE_UNREADABLE',
      `${name}: expected a readable file, but ${WHAT_CAME[code] ?? 'reading failed'} (${code}). ${WHAT_TO_DO[code] ?? 'Check the path and the disk.'}`,
      { cause: error },
    );
  } finally {
    buffer.fill(0);
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

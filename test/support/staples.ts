/** OCSP responses by the openssl command, and lists of signed certificate timestamps. */
import { execFileSync } from 'node:child_process';
import { randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface OcspRequest {
  /** Where files may be written. */
  readonly directory: string;
  /** Of the authority, which answers for itself. */
  readonly ca: string;
  readonly caKey: string;
  readonly cert: string;
  /** As `openssl ca` notes it: valid, revoked; undefined: the authority knows nothing of it. */
  readonly state: 'V' | 'R' | undefined;
  /** Minutes until nextUpdate; undefined: none is said. */
  readonly minutes?: number;
}

/** DER OCSPResponse. */
export function ocspResponse({ directory, ca, caKey, cert, state, minutes }: OcspRequest): Buffer {
  const index = join(directory, 'ocsp-index.txt');
  const out = join(directory, 'ocsp.der');
  const { serialNumber } = new X509Certificate(readFileSync(cert));
  const revoked = state === 'R' ? '260101000000Z' : '';
  const line = `${state}\t491231000000Z\t${revoked}\t${serialNumber}\tunknown\t/CN=localhost\n`;
  writeFileSync(index, state === undefined ? '' : line);
  execFileSync(
    'openssl',
    [
      ...['ocsp', '-index', index, '-CA', ca, '-rsigner', ca, '-rkey', caKey, '-issuer', ca, '-cert', cert],
      ...['-respout', out, '-noverify', ...(minutes === undefined ? [] : ['-nmin', String(minutes)])],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  return readFileSync(out);
}

const vector16 = (content: Buffer) => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(content.length);
  return Buffer.concat([length, content]);
};

/** A timestamp of version 1 (RFC 6962 3.2), as it would be but for who signed it. */
export const timestamp = (signatureBytes = 71) =>
  Buffer.concat([
    Buffer.of(0),
    randomBytes(32 + 8),
    vector16(Buffer.alloc(0)),
    Buffer.of(4, 3),
    vector16(randomBytes(signatureBytes)),
  ]);

/** SignedCertificateTimestampList (RFC 6962 3.3). */
export const sctList = (...timestamps: readonly Buffer[]) =>
  vector16(Buffer.concat(timestamps.map(vector16)));

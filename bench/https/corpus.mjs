// @ts-check
/** What is served: files of random bytes, and a P-256 certificate. Both are kept in build/bench. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** @typedef {{ root: string, cert: string, key: string }} Corpus */

/** @param {string} directory @param {import('./options.mjs').FileSize[]} sizes @returns {Corpus} */
export function makeCorpus(directory, sizes) {
  const root = join(directory, 'www');
  mkdirSync(root, { recursive: true });
  for (const size of sizes) makeFile(join(root, `${size.name}.bin`), size.bytes);
  const { cert, key } = makeCertificate(directory, 'P-256');
  // Warm page cache: the disk is not what is measured.
  for (const size of sizes) readFileSync(join(root, `${size.name}.bin`));
  return { root, cert, key };
}

/**
 * A self-signed certificate, made once and kept.
 * @param {string} directory @param {'P-256' | 'RSA-2048'} kind
 */
export function makeCertificate(directory, kind) {
  mkdirSync(directory, { recursive: true });
  const prefix = kind === 'P-256' ? '' : 'rsa-';
  const cert = join(directory, `${prefix}cert.pem`);
  const key = join(directory, `${prefix}key.pem`);
  if (existsSync(cert) && existsSync(key)) return { cert, key };
  const newKey = kind === 'P-256' ? ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] : ['rsa:2048'];
  const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const files = ['-days', '3650', '-keyout', key, '-out', cert];
  execFileSync('openssl', ['req', '-x509', '-newkey', ...newKey, '-nodes', ...name, ...files], {
    stdio: 'ignore',
  });
  return { cert, key };
}

/** @param {string} path @param {number} bytes */
function makeFile(path, bytes) {
  if (existsSync(path) && statSync(path).size === bytes) return;
  const file = openSync(path, 'w', 0o644);
  try {
    for (let left = bytes; left > 0; ) left -= writeSync(file, randomBytes(Math.min(left, 1 << 20)));
  } finally {
    closeSync(file);
  }
}

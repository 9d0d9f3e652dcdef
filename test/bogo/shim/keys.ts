/** Certificates and private keys as the runner has them in files. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Credential } from '../../../src/tls/index.ts';
import type { CredentialOptions } from './flags.ts';

/** DER, in the order of the file. */
export function readCertificates(path: string): Uint8Array[] {
  const blocks = readFileSync(path, 'latin1').match(/-----BEGIN CERTIFICATE-----[^-]+-----END/g) ?? [];
  return blocks.map((block) =>
    Buffer.from(block.slice(block.indexOf('\n'), block.lastIndexOf('\n')), 'base64'),
  );
}

export interface ShimCredential extends Credential {
  readonly key: KeyObject;
  /** Its place on the command line; -1: the flags outside -new-x509-credential. */
  readonly index: number;
}

export function loadCredential(options: CredentialOptions, index: number): ShimCredential | undefined {
  const { 'cert-file': certificate, 'key-file': keyFile } = options;
  if (certificate === undefined || keyFile === undefined) return undefined;
  const key = createPrivateKey(readFileSync(keyFile));
  const can = schemesOf(key);
  const wanted = options['signing-prefs'];
  return {
    chain: readCertificates(certificate),
    schemes: wanted === undefined ? can : wanted.filter((scheme) => can.includes(scheme)),
    key,
    index,
  };
}

const RSA_SCHEMES = [0x0804, 0x0401, 0x0805, 0x0501, 0x0806, 0x0601];
/** TLS 1.2 does not tie a curve to a hash; a key says which of these it prefers. */
const ECDSA_SCHEMES: Readonly<Record<string, readonly number[]>> = {
  prime256v1: [0x0403, 0x0503, 0x0603],
  secp384r1: [0x0503, 0x0403, 0x0603],
};

function schemesOf(key: KeyObject): readonly number[] {
  switch (key.asymmetricKeyType) {
    case 'rsa': {
      // RFC 8017 9.1.1: hash and salt, 64 bytes each, and two more must fit.
      const fits = (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 8 * (2 * 64 + 2);
      return RSA_SCHEMES.filter((scheme) => scheme !== 0x0806 || fits);
    }
    case 'ed25519':
      return [0x0807];
    case 'ec':
      return ECDSA_SCHEMES[key.asymmetricKeyDetails?.namedCurve ?? ''] ?? [];
    default:
      return [];
  }
}

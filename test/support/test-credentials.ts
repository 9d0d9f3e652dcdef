/** Self-signed certificates for tests, by the openssl command: one per kind of key, made when first asked for. */
import { execFileSync } from 'node:child_process';
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Credential } from '../../src/tls/index.ts';

export const NAME = 'interop.example';

const PSS = [0x0804, 0x0805, 0x0806];
const ec = (curve: string) => ['ec', '-pkeyopt', `ec_paramgen_curve:${curve}`];
const KINDS = {
  'ecdsa-p256': { newkey: ec('P-256'), schemes: [0x0403], schemes12: [0x0403, 0x0503] },
  'ecdsa-p384': { newkey: ec('P-384'), schemes: [0x0503], schemes12: [0x0503, 0x0403] },
  ed25519: { newkey: ['ed25519'], schemes: [0x0807], schemes12: [0x0807] },
  rsa: { newkey: ['rsa:2048'], schemes: PSS, schemes12: [...PSS, 0x0401, 0x0501, 0x0601] },
  /** Too short to be taken. */
  'rsa-1024': { newkey: ['rsa:1024'], schemes: [0x0804], schemes12: [0x0804] },
} as const;

export type KeyKind = keyof typeof KINDS;
/** Those that are taken. */
export const KEY_KINDS = ['ecdsa-p256', 'ecdsa-p384', 'ed25519', 'rsa'] as const satisfies KeyKind[];

export interface TestCredential extends Credential {
  readonly key: KeyObject;
  readonly certificatePem: string;
  readonly keyPem: string;
}

const made = new Map<KeyKind, TestCredential>();

export function testCredential(kind: KeyKind): TestCredential {
  let credential = made.get(kind);
  if (credential === undefined) {
    credential = make(kind);
    made.set(kind, credential);
  }
  return credential;
}

function make(kind: KeyKind): TestCredential {
  const { newkey, schemes, schemes12 } = KINDS[kind];
  const folder = mkdtempSync(join(tmpdir(), 'socrypt-credential-'));
  try {
    const [key, certificate] = [join(folder, 'key'), join(folder, 'crt')];
    const names = ['-subj', `/CN=${NAME}`, '-addext', `subjectAltName=DNS:${NAME}`];
    const files = ['-keyout', key, '-out', certificate];
    execFileSync(
      'openssl',
      ['req', '-x509', '-nodes', '-days', '2', ...names, '-newkey', ...newkey, ...files],
      { stdio: 'pipe' },
    );
    const certificatePem = readFileSync(certificate, 'utf8');
    const keyPem = readFileSync(key, 'utf8');
    return {
      chain: [new X509Certificate(certificatePem).raw],
      schemes: [...schemes],
      schemes12: [...schemes12],
      key: createPrivateKey(keyPem),
      certificatePem,
      keyPem,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The credentials as files, for programs. */
export class CredentialFiles {
  readonly folder = mkdtempSync(join(tmpdir(), 'socrypt-credentials-'));

  constructor() {
    for (const kind of KEY_KINDS) {
      const { certificatePem, keyPem } = testCredential(kind);
      writeFileSync(this.file(kind, 'crt'), certificatePem);
      writeFileSync(this.file(kind, 'key'), keyPem);
    }
  }

  file(kind: KeyKind, what: 'crt' | 'key'): string {
    return join(this.folder, `${kind}.${what}`);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

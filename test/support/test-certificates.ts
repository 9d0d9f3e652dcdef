/** Self-signed certificates by openssl, one of each kind of key. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EchoCredential, echoCredential } from './tls-echo-server.ts';

export const NAME = 'interop.example';
const ECDSA = [0x0403, 0x0503];
const RSA = [0x0804, 0x0805, 0x0806];
const PKCS1 = [0x0401, 0x0501, 0x0601];
const KINDS = {
  'ecdsa-p256': {
    newkey: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
    schemes: [0x0403],
    schemes12: ECDSA,
  },
  'ecdsa-p384': {
    newkey: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
    schemes: [0x0503],
    schemes12: ECDSA,
  },
  ed25519: { newkey: ['ed25519'], schemes: [0x0807], schemes12: [0x0807] },
  rsa: { newkey: ['rsa:2048'], schemes: RSA, schemes12: [...RSA, ...PKCS1] },
} as const;
export type Kind = keyof typeof KINDS;
export const kinds = Object.keys(KINDS) as Kind[];

export class TestCertificates {
  readonly folder = mkdtempSync(join(tmpdir(), 'socrypt-certificates-'));
  readonly #made = new Map<Kind, EchoCredential>();

  get(kind: Kind): EchoCredential {
    let credential = this.#made.get(kind);
    if (credential === undefined) {
      credential = this.#make(kind);
      this.#made.set(kind, credential);
    }
    return credential;
  }

  file(kind: Kind, what: 'crt' | 'key'): string {
    return join(this.folder, `${kind}.${what}`);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  #make(kind: Kind): EchoCredential {
    const { newkey, schemes, schemes12 } = KINDS[kind];
    const args = ['req', '-x509', '-nodes', '-days', '2', '-subj', `/CN=${NAME}`];
    args.push('-addext', `subjectAltName=DNS:${NAME}`, '-newkey', ...newkey);
    args.push('-keyout', this.file(kind, 'key'), '-out', this.file(kind, 'crt'));
    execFileSync('openssl', args, { stdio: 'pipe' });
    const read = (what: 'crt' | 'key') => readFileSync(this.file(kind, what), 'utf8');
    return { ...echoCredential(read('crt'), read('key'), [...schemes]), schemes12 };
  }
}

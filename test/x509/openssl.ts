/** The openssl command line: it makes what the tests read, and says what is in it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class Workshop {
  readonly directory = mkdtempSync(join(tmpdir(), 'socrypt-x509-'));

  path(name: string): string {
    return join(this.directory, name);
  }
  openssl(...args: string[]): Buffer {
    return execFileSync('openssl', args, { cwd: this.directory, stdio: ['ignore', 'pipe', 'pipe'] });
  }
  read(name: string): Uint8Array {
    return new Uint8Array(readFileSync(this.path(name)));
  }
  write(name: string, content: string | Uint8Array): string {
    writeFileSync(this.path(name), content);
    return this.path(name);
  }
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** PKCS#8 PEM in NAME.key. */
  key(name: string, ...algorithm: string[]): string {
    this.openssl('genpkey', ...algorithm, '-out', `${name}.key`);
    return `${name}.key`;
  }

  /** NAME.pem for NAME.key; signed by `issuer`'s key, or by its own. */
  certificate(
    name: string,
    options: {
      readonly issuer?: string;
      readonly extensions?: readonly string[];
      readonly subject?: string;
      /** 20260101000000Z */
      readonly from?: string;
      readonly to?: string;
    } = {},
  ): string {
    const subject = options.subject ?? `/CN=${name}`;
    const extensions = options.extensions ?? [`subjectAltName=DNS:${name}`];
    this.openssl('req', '-new', '-key', `${name}.key`, '-subj', subject, '-utf8', '-out', `${name}.csr`);
    const issuer = options.issuer ?? name;
    this.write(
      `${name}.cnf`,
      [
        '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\nrand_serial=yes',
        'unique_subject=no\nemail_in_dn=no\n[p]\ncountryName=optional\norganizationName=optional',
        'commonName=optional\n[e]\nsubjectKeyIdentifier=hash',
        options.issuer === undefined ? '' : 'authorityKeyIdentifier=keyid',
        ...extensions,
        '',
      ].join('\n'),
    );
    this.write('index.txt', '');
    const signer =
      options.issuer === undefined
        ? ['-selfsign', '-keyfile', `${name}.key`]
        : ['-cert', `${issuer}.pem`, '-keyfile', `${issuer}.key`];
    const from = options.from ?? asn1Time(Date.now() - 3_600_000);
    const to = options.to ?? asn1Time(Date.now() + 90 * 86_400_000);
    this.openssl(
      ...['ca', '-batch', '-notext', '-config', `${name}.cnf`, '-extensions', 'e', '-in', `${name}.csr`],
      ...['-out', `${name}.pem`, '-startdate', from, '-enddate', to, ...signer],
    );
    return `${name}.pem`;
  }

  der(pem: string): Uint8Array {
    this.openssl('x509', '-in', pem, '-outform', 'DER', '-out', 'out.der');
    return this.read('out.der');
  }
}

export function asn1Time(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
}

export const CA = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'];

export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return String((error as { code?: unknown }).code ?? `uncoded: ${error}`);
  }
  return 'none';
}

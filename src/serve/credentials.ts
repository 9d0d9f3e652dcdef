/** Certificates as the options ask for them: the given pairs, or the development certificate. */

import { type ClientAuthenticationOptions, ClientVerifier } from '../control/client-authentication.ts';
import {
  type Credential,
  type CredentialSource,
  CredentialStore,
  type CredentialWarning,
  loadCredential,
} from '../control/credentials.ts';
import {
  type DevelopmentCertificate,
  ensureDevelopmentCertificate,
} from '../control/development-certificate.ts';
import { readBounded } from '../control/files.ts';
import { MAX_ROOTS } from '../control/system-roots.ts';
import { SocryptError } from '../errors.ts';
import { native } from '../native.ts';
import { readCertificates } from '../x509/certificate.ts';
import { describeKey } from '../x509/private-key.ts';
import { readRevocationLists } from '../x509/verify/crl.ts';
import { NO_FILE } from './options/kinds.ts';
import type { Settings } from './options.ts';
import { signerOfSuite, suitesNamed } from './tls-names.ts';

export interface LoadedCredentials {
  readonly store: CredentialStore;
  /** null: certificates were given. */
  readonly development: DevelopmentCertificate | null;
  /** null: clients are not asked for certificates. */
  readonly clients: ClientAuthenticationOptions | null;
  readonly warnings: readonly CredentialWarning[];
}

/** `before`: what a reload replaces. Throws what loadCredential throws. */
export function loadCredentials(
  settings: Settings,
  before: LoadedCredentials | null = null,
): LoadedCredentials {
  const { cert, key, ocsp, sct, allowExpired } = settings;
  let development: DevelopmentCertificate | null = null;
  let sources: readonly CredentialSource[];
  if (cert.length > 0) {
    const options = { cert: '--cert', key: '--key' };
    sources = cert.map((certFile, i) => ({
      certFile,
      keyFile: key[i]!,
      ocspFile: fileAt(ocsp, i),
      sctFile: fileAt(sct, i),
      options,
    }));
  } else {
    const kept = before?.development ?? null;
    // One that is only in memory was perhaps trusted by hand: a reload does not change it.
    development = kept !== null && 'cert' in kept ? kept : ensureDevelopmentCertificate();
    sources = [development];
  }
  const credentials = sources.map((source) =>
    loadCredential(source, { crypto: native.crypto, allowExpired }),
  );
  for (const [i, credential] of credentials.entries()) checkUsable(credential, sources[i]!, settings);
  return {
    store: new CredentialStore(credentials),
    development,
    clients: loadClients(settings),
    warnings: credentials.flatMap((credential: Credential) => credential.warnings),
  };
}

/** A key that can sign in no suite that is spoken would only wait for nobody. */
function checkUsable({ key }: Credential, source: CredentialSource, settings: Settings): void {
  const suites = suitesNamed(settings.suites, settings.minVersion);
  const kind = key.type === 'rsa' ? 'RSA' : 'ECDSA';
  if (suites.some((suite) => signerOfSuite(suite) === undefined || signerOfSuite(suite) === kind)) return;
  const which = 'certFile' in source ? `cert (--cert ${source.certFile})` : 'cert';
  throw new SocryptError(
    'ERR_SOCRYPT_CERTIFICATE_UNUSABLE',
    `${which}: expected a certificate whose key signs in one of the configured suites, but its key is ${describeKey(key)}, and ` +
      `suites (--suite) has neither a suite of TLS 1.3 nor one with ${kind} (${settings.suites.join(', ')}). Add one, or take another certificate.`,
  );
}

const fileAt = (files: readonly string[], i: number) => (files[i] === NO_FILE ? undefined : files[i]);

/** Throws what createPeerVerifier throws, with the option's name in it. */
function loadClients({ clientCa, clientAuth, clientCrl }: Settings): ClientAuthenticationOptions | null {
  if (clientCa.length === 0) {
    if (clientCrl.length === 0) return null;
    throw new SocryptError(
      'ERR_SOCRYPT_CLIENT_CA_MISSING',
      'clientCrl (--client-crl): expected certificates of authorities beside it, but there are none. Give --client-ca, or leave it out.',
    );
  }
  const nameOf = (option: string, file: string) => `${option} file ${file}`;
  const read = (option: string) => (file: string) => readBounded(file, nameOf(option, file));
  const clients: ClientAuthenticationOptions = {
    required: clientAuth !== 'request',
    roots: clientCa.map(read('--client-ca')),
    crls: clientCrl.map(read('--client-crl')),
  };
  // What cannot be used is said now, by its file, and not by a thread that makes handshakes.
  for (const [i, bytes] of clients.roots.entries())
    readCertificates(bytes, nameOf('--client-ca', clientCa[i]!), MAX_ROOTS);
  for (const [i, bytes] of clients.crls.entries())
    readRevocationLists(bytes, nameOf('--client-crl', clientCrl[i]!));
  new ClientVerifier(clients);
  return clients;
}

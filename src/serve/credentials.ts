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
import { SocryptError } from '../errors.ts';
import { native } from '../native.ts';
import type { Settings } from './options.ts';

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
  const { cert, key, allowExpired } = settings;
  let development: DevelopmentCertificate | null = null;
  let sources: readonly CredentialSource[];
  if (cert.length > 0) {
    sources = cert.map((certFile, i) => ({ certFile, keyFile: key[i]! }));
  } else {
    const kept = before?.development ?? null;
    // One that is only in memory was perhaps trusted by hand: a reload does not change it.
    development = kept !== null && 'cert' in kept ? kept : ensureDevelopmentCertificate();
    sources = [development];
  }
  const credentials = sources.map((source) =>
    loadCredential(source, { crypto: native.crypto, allowExpired }),
  );
  return {
    store: new CredentialStore(credentials),
    development,
    clients: loadClients(settings),
    warnings: credentials.flatMap((credential: Credential) => credential.warnings),
  };
}

/** Throws what createPeerVerifier throws, with the option's name in it. */
function loadClients({ clientCa, clientAuth, clientCrl }: Settings): ClientAuthenticationOptions | null {
  if (clientCa.length === 0) {
    if (clientCrl.length === 0) return null;
    throw new SocryptError(
      'ERR_SOCRYPT_CLIENT_CA_MISSING',
      'clientCrl (--client-crl): expected certificates of authorities beside it, but there are none. Give --client-ca, or leave it out.',
    );
  }
  const read = (option: string) => (file: string) => readBounded(file, `${option} file ${file}`);
  const clients: ClientAuthenticationOptions = {
    required: clientAuth === 'require',
    roots: clientCa.map(read('--client-ca')),
    crls: clientCrl.map(read('--client-crl')),
  };
  // What cannot be used is said now, and not by a thread that makes handshakes.
  new ClientVerifier(clients);
  return clients;
}

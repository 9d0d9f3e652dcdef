/** Certificates as the options ask for them: the given pairs, or the development certificate. */
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
import { native } from '../native.ts';
import type { Settings } from './options.ts';

export interface LoadedCredentials {
  readonly store: CredentialStore;
  /** null: certificates were given. */
  readonly development: DevelopmentCertificate | null;
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
    warnings: credentials.flatMap((credential: Credential) => credential.warnings),
  };
}

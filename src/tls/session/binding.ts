/** The digests that bind a session to a server and its policy. */
import type { Credential } from '../api.ts';
import type { CryptoProvider } from '../crypto-provider.ts';

const identities = new WeakMap<Credential, Uint8Array>();
const NO_CONTEXT = new Uint8Array(32);

/** SHA-256 of the leaf. */
export function identityOf(provider: CryptoProvider, credential: Credential): Uint8Array {
  let identity = identities.get(credential);
  if (identity === undefined) {
    identity = Uint8Array.from(provider.hash('sha256', credential.chain[0] ?? new Uint8Array(0)));
    identities.set(credential, identity);
  }
  return identity;
}

export function contextOf(config: { readonly sessionContext?: Uint8Array | undefined }): Uint8Array {
  return config.sessionContext ?? NO_CONTEXT;
}

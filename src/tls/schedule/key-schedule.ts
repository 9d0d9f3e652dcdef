/**
 * The key schedule of RFC 8446 7.1 as a chain of types: early, handshake, application. Each stage can be
 * reached only through the one before it, and takes the input that the RFC mixes in there.
 */
import type { CryptoProvider, HashName } from '../crypto-provider.ts';
import type { Suite } from '../suites.ts';
import { ApplicationTrafficSecret, EMPTY, HandshakeTrafficSecret } from './traffic-secret.ts';

interface HashFacts {
  readonly emptyHash: Uint8Array;
  readonly zeros: Uint8Array;
  /** Derive-Secret(Early Secret, "derived", "") without a PSK: a constant, not a secret. */
  readonly derivedFromEarly: Uint8Array;
}

const factsOfProvider = new WeakMap<CryptoProvider, { sha256?: HashFacts; sha384?: HashFacts }>();

function factsOf(provider: CryptoProvider, hash: HashName, hashLength: number): HashFacts {
  let facts = factsOfProvider.get(provider);
  if (facts === undefined) {
    facts = {};
    factsOfProvider.set(provider, facts);
  }
  facts[hash] ??= makeFacts(provider, hash, hashLength);
  return facts[hash];
}

function makeFacts(provider: CryptoProvider, hash: HashName, hashLength: number): HashFacts {
  const zeros = new Uint8Array(hashLength);
  const emptyHash = provider.hash(hash, EMPTY);
  const early = provider.hkdfExtract(hash, zeros, zeros);
  return {
    zeros,
    emptyHash,
    derivedFromEarly: provider.hkdfExpandLabel(hash, early, 'derived', emptyHash, hashLength),
  };
}

export class EarlySecret {
  readonly #provider: CryptoProvider;
  readonly #suite: Suite;

  /** Without a PSK. */
  constructor(provider: CryptoProvider, suite: Suite) {
    this.#provider = provider;
    this.#suite = suite;
  }

  /** Mixes in the (EC)DHE secret, which is wiped; `transcriptHash` covers ClientHello to ServerHello. */
  handshake(sharedSecret: Uint8Array, transcriptHash: Uint8Array): HandshakeSecret {
    const suite = this.#suite;
    const { derivedFromEarly } = factsOf(this.#provider, suite.hash, suite.hashLength);
    const secret = this.#provider.hkdfExtract(suite.hash, derivedFromEarly, sharedSecret);
    sharedSecret.fill(0);
    return new HandshakeSecret(this.#provider, suite, secret, transcriptHash);
  }
}

export class HandshakeSecret {
  readonly client: HandshakeTrafficSecret;
  readonly server: HandshakeTrafficSecret;
  readonly #provider: CryptoProvider;
  readonly #suite: Suite;
  readonly #secret: Uint8Array;

  constructor(provider: CryptoProvider, suite: Suite, secret: Uint8Array, transcriptHash: Uint8Array) {
    this.#provider = provider;
    this.#suite = suite;
    this.#secret = secret;
    const { hash, hashLength } = suite;
    this.client = new HandshakeTrafficSecret(
      provider,
      suite,
      provider.hkdfExpandLabel(hash, secret, 'c hs traffic', transcriptHash, hashLength),
    );
    this.server = new HandshakeTrafficSecret(
      provider,
      suite,
      provider.hkdfExpandLabel(hash, secret, 's hs traffic', transcriptHash, hashLength),
    );
  }

  /** `transcriptHash` covers ClientHello to the server's Finished. Wipes this stage, not its traffic secrets. */
  application(transcriptHash: Uint8Array): ApplicationSecrets {
    const provider = this.#provider;
    const suite = this.#suite;
    const { hash, hashLength } = suite;
    const { emptyHash, zeros } = factsOf(provider, hash, hashLength);
    const derived = provider.hkdfExpandLabel(hash, this.#secret, 'derived', emptyHash, hashLength);
    const master = provider.hkdfExtract(hash, derived, zeros);
    derived.fill(0);
    this.#secret.fill(0);
    const secrets = {
      client: new ApplicationTrafficSecret(
        provider,
        suite,
        provider.hkdfExpandLabel(hash, master, 'c ap traffic', transcriptHash, hashLength),
      ),
      server: new ApplicationTrafficSecret(
        provider,
        suite,
        provider.hkdfExpandLabel(hash, master, 's ap traffic', transcriptHash, hashLength),
      ),
    };
    master.fill(0);
    return secrets;
  }

  wipe(): void {
    this.#secret.fill(0);
    this.client.wipe();
    this.server.wipe();
  }
}

export interface ApplicationSecrets {
  readonly client: ApplicationTrafficSecret;
  readonly server: ApplicationTrafficSecret;
}

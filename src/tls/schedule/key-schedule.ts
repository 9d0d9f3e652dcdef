/**
 * The key schedule of RFC 8446 7.1 as a chain of types: early, handshake, application. Each stage can be
 * reached only through the one before it, and takes the input that the RFC mixes in there.
 */
import type { Writer } from '../codec/writer.ts';
import type { CryptoProvider, HashName } from '../crypto-provider.ts';
import type { Suite } from '../suites.ts';
import { Tls13Exporter } from './exporter.ts';
import { applicationStage, type HandshakeStage, handshakeStage } from './stages.ts';
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

/** One secret of a connection, by its label in the key log format of NSS. */
export type SecretLog = (label: string, secret: Uint8Array) => void;

export class EarlySecret {
  readonly #provider: CryptoProvider;
  readonly #suite: Suite;
  /** undefined: without a PSK, where everything that is made of it is known beforehand. */
  readonly #secret: Uint8Array | undefined;

  /** `psk`: of a resumption; it is left to the caller to wipe. */
  constructor(provider: CryptoProvider, suite: Suite, psk?: Uint8Array) {
    this.#provider = provider;
    this.#suite = suite;
    this.#secret =
      psk && provider.hkdfExtract(suite.hash, factsOf(provider, suite.hash, suite.hashLength).zeros, psk);
  }

  /**
   * The PskBinderEntry (RFC 8446 4.2.11.2) of a resumption PSK; `transcriptHash` covers everything to the ClientHello
   * without its binders.
   */
  binder(transcriptHash: Uint8Array): Uint8Array {
    const key = new HandshakeTrafficSecret(this.#provider, this.#suite, this.#derive('res binder'));
    const binder = key.finished(transcriptHash);
    key.wipe();
    return binder;
  }

  /**
   * Mixes in the (EC)DHE secret, which is wiped; `transcriptHash` covers ClientHello to ServerHello. `log` is told the
   * secrets of this stage and the next.
   */
  handshake(sharedSecret: Uint8Array, transcriptHash: Uint8Array, log?: SecretLog): HandshakeSecret {
    const suite = this.#suite;
    const salt =
      this.#secret === undefined
        ? factsOf(this.#provider, suite.hash, suite.hashLength).derivedFromEarly
        : this.#derive('derived');
    const stage = handshakeStage(this.#provider, suite, salt, sharedSecret, transcriptHash);
    sharedSecret.fill(0);
    if (this.#secret !== undefined) salt.fill(0);
    this.wipe();
    return new HandshakeSecret(this.#provider, suite, stage, log);
  }

  wipe(): void {
    this.#secret?.fill(0);
  }

  /** Derive-Secret with an empty transcript. */
  #derive(label: string): Uint8Array {
    const { hash, hashLength } = this.#suite;
    const { emptyHash, zeros } = factsOf(this.#provider, hash, hashLength);
    const secret = this.#secret ?? this.#provider.hkdfExtract(hash, zeros, zeros);
    return this.#provider.hkdfExpandLabel(hash, secret, label, emptyHash, hashLength);
  }
}

export class HandshakeSecret {
  readonly client: HandshakeTrafficSecret;
  readonly server: HandshakeTrafficSecret;
  readonly #provider: CryptoProvider;
  readonly #suite: Suite;
  readonly #secret: Uint8Array;
  readonly #log: SecretLog | undefined;

  constructor(provider: CryptoProvider, suite: Suite, stage: HandshakeStage, log?: SecretLog) {
    this.#provider = provider;
    this.#suite = suite;
    this.#secret = stage.secret;
    this.#log = log;
    log?.('CLIENT_HANDSHAKE_TRAFFIC_SECRET', stage.client.secret);
    log?.('SERVER_HANDSHAKE_TRAFFIC_SECRET', stage.server.secret);
    this.client = new HandshakeTrafficSecret(provider, suite, stage.client.secret, stage.client);
    this.server = new HandshakeTrafficSecret(provider, suite, stage.server.secret, stage.server);
  }

  /** `transcriptHash` covers ClientHello to the server's Finished. Wipes this stage, not its traffic secrets. */
  application(transcriptHash: Uint8Array): ApplicationSecrets {
    const provider = this.#provider;
    const suite = this.#suite;
    const { secret, client, server, exporter } = applicationStage(
      provider,
      suite,
      this.#secret,
      transcriptHash,
    );
    this.#secret.fill(0);
    this.#log?.('CLIENT_TRAFFIC_SECRET_0', client.secret);
    this.#log?.('SERVER_TRAFFIC_SECRET_0', server.secret);
    this.#log?.('EXPORTER_SECRET', exporter);
    return {
      client: new ApplicationTrafficSecret(provider, suite, client.secret, client),
      server: new ApplicationTrafficSecret(provider, suite, server.secret, server),
      exporter: new Tls13Exporter(provider, suite, exporter),
      master: new MasterSecret(provider, suite, secret),
    };
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
  readonly exporter: Tls13Exporter;
  /** Kept until the client's Finished, for what resumption needs of it. */
  readonly master: MasterSecret;
}

export function wipeApplication({ client, server, exporter, master }: ApplicationSecrets): void {
  client.wipe();
  server.wipe();
  exporter.wipe();
  master.wipe();
}

export class MasterSecret {
  readonly #provider: CryptoProvider;
  readonly #suite: Suite;
  readonly #secret: Uint8Array;

  constructor(provider: CryptoProvider, suite: Suite, secret: Uint8Array) {
    this.#provider = provider;
    this.#suite = suite;
    this.#secret = secret;
  }

  /** `transcriptHash` covers ClientHello to the client's Finished. Wipes this stage. */
  resumption(transcriptHash: Uint8Array): ResumptionSecret {
    const { hash, hashLength } = this.#suite;
    const secret = this.#provider.hkdfExpandLabel(
      hash,
      this.#secret,
      'res master',
      transcriptHash,
      hashLength,
    );
    this.wipe();
    return new ResumptionSecret(this.#provider, this.#suite, secret);
  }

  wipe(): void {
    this.#secret.fill(0);
  }
}

/** resumption_master_secret. */
export class ResumptionSecret {
  readonly #provider: CryptoProvider;
  readonly #suite: Suite;
  readonly #secret: Uint8Array;

  constructor(provider: CryptoProvider, suite: Suite, secret: Uint8Array) {
    this.#provider = provider;
    this.#suite = suite;
    this.#secret = secret;
  }

  /** The PSK that goes with a ticket (RFC 8446 4.6.1). */
  psk(nonce: Uint8Array): Uint8Array {
    const { hash, hashLength } = this.#suite;
    return this.#provider.hkdfExpandLabel(hash, this.#secret, 'resumption', nonce, hashLength);
  }

  /** Copies the secret to where a client's connection keeps it. */
  store(writer: Writer): void {
    writer.bytes(this.#secret);
  }

  wipe(): void {
    this.#secret.fill(0);
  }
}

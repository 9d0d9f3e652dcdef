/**
 * The stages of RFC 8446 7.1 with everything that is made of them. A provider that can does a stage in one call; for
 * others the same is put together here.
 */
import { joinBytes } from '../bytes.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import { IV_LENGTH, type Suite } from '../suites.ts';

const EMPTY = new Uint8Array(0);

/** A traffic secret and what RFC 8446 7.3 and 4.4.4 make of it. Every array has memory of its own. */
export interface TrafficParts {
  readonly secret: Uint8Array;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}

export interface HandshakeParts extends TrafficParts {
  readonly finishedKey: Uint8Array;
}

export interface HandshakeStage {
  readonly secret: Uint8Array;
  readonly client: HandshakeParts;
  readonly server: HandshakeParts;
}

export interface ApplicationStage {
  /** Master Secret. */
  readonly secret: Uint8Array;
  readonly client: TrafficParts;
  readonly server: TrafficParts;
  /** exporter_master_secret. */
  readonly exporter: Uint8Array;
}

/** `salt`: Derive-Secret(Early Secret, "derived", ""); `transcriptHash` covers ClientHello to ServerHello. */
export function handshakeStage(
  provider: CryptoProvider,
  suite: Suite,
  salt: Uint8Array,
  sharedSecret: Uint8Array,
  transcriptHash: Uint8Array,
): HandshakeStage {
  const { hash, hashLength, keyLength } = suite;
  let block: Uint8Array;
  if (provider.handshakeStage === undefined) {
    const secret = provider.hkdfExtract(hash, salt, sharedSecret);
    const traffic = (label: string) => {
      const own = provider.hkdfExpandLabel(hash, secret, label, transcriptHash, hashLength);
      const finished = provider.hkdfExpandLabel(hash, own, 'finished', EMPTY, hashLength);
      return [own, finished, ...keysOf(provider, suite, own)];
    };
    block = joined([secret, ...traffic('c hs traffic'), ...traffic('s hs traffic')]);
  } else {
    block = provider.handshakeStage(hash, keyLength, salt, sharedSecret, transcriptHash);
  }
  const take = taker(block);
  const side = (): HandshakeParts => {
    const secret = take(hashLength);
    const finishedKey = take(hashLength);
    return { secret, finishedKey, key: take(keyLength), iv: take(IV_LENGTH) };
  };
  const stage = { secret: take(hashLength), client: side(), server: side() };
  block.fill(0);
  return stage;
}

/** `transcriptHash` covers ClientHello to the server's Finished. */
export function applicationStage(
  provider: CryptoProvider,
  suite: Suite,
  handshakeSecret: Uint8Array,
  transcriptHash: Uint8Array,
): ApplicationStage {
  const { hash, hashLength, keyLength } = suite;
  let block: Uint8Array;
  if (provider.applicationStage === undefined) {
    const empty = provider.hash(hash, EMPTY);
    const derived = provider.hkdfExpandLabel(hash, handshakeSecret, 'derived', empty, hashLength);
    const master = provider.hkdfExtract(hash, derived, new Uint8Array(hashLength));
    derived.fill(0);
    const derive = (label: string) =>
      provider.hkdfExpandLabel(hash, master, label, transcriptHash, hashLength);
    const client = derive('c ap traffic');
    const server = derive('s ap traffic');
    block = joined([
      master,
      client,
      ...keysOf(provider, suite, client),
      server,
      ...keysOf(provider, suite, server),
      derive('exp master'),
    ]);
  } else {
    block = provider.applicationStage(hash, keyLength, handshakeSecret, transcriptHash);
  }
  const take = taker(block);
  const side = (): TrafficParts => ({
    secret: take(hashLength),
    key: take(keyLength),
    iv: take(IV_LENGTH),
  });
  const stage = { secret: take(hashLength), client: side(), server: side(), exporter: take(hashLength) };
  block.fill(0);
  return stage;
}

function keysOf(provider: CryptoProvider, suite: Suite, secret: Uint8Array): [Uint8Array, Uint8Array] {
  return [
    provider.hkdfExpandLabel(suite.hash, secret, 'key', EMPTY, suite.keyLength),
    provider.hkdfExpandLabel(suite.hash, secret, 'iv', EMPTY, IV_LENGTH),
  ];
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const block = joinBytes(parts);
  for (const part of parts) part.fill(0);
  return block;
}

// Copies, which are wiped each in its time; a view would show its holder the rest of the block.
function taker(block: Uint8Array): (length: number) => Uint8Array {
  let at = 0;
  return (length) => {
    at += length;
    return Uint8Array.prototype.slice.call(block, at - length, at);
  };
}

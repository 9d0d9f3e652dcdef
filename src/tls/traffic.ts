/** Keys as they leave for the data plane, and the blob from which later ones are made. */
import { copyBytes } from './bytes.ts';
import { TLS13 } from './codepoints.ts';
import type { CryptoProvider } from './crypto-provider.ts';
import { ApplicationTrafficSecret } from './schedule/traffic-secret.ts';
import { suiteById } from './suites.ts';

/** Keys of one direction. `epoch` counts the application keys of a direction from 0 (RFC 8446 7.2). */
export interface TrafficSecret {
  readonly suite: number;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  /** Number of the first record under these keys. */
  readonly recordSeq: bigint;
  readonly epoch: number;
}

/** Zeroises keys, or update secrets, that have been handed over. */
export function wipe(secret: TrafficSecret | UpdateSecrets): void {
  if (secret instanceof Uint8Array) {
    secret.fill(0);
    return;
  }
  secret.key.fill(0);
  secret.iv.fill(0);
}

/**
 * Opaque; secret. A server's has at most 128 bytes, a client's holds its session besides (client/client-updates.ts). Layout: format 1, suite (2), epochs of receiving and sending (4 each),
 * length of a partial message (1) and its bytes (4), client secret, server secret.
 */
export type UpdateSecrets = Uint8Array;

const FORMAT = 1;
const AT_SUITE = 1;
const AT_RX_EPOCH = 3;
const AT_TX_EPOCH = 7;
const AT_PARTIAL = 11;
export const PARTIAL_MAX = 4;
const AT_SECRETS = AT_PARTIAL + 1 + PARTIAL_MAX;

/** The state of a connection's keys after its handshake. */
export interface UpdateState {
  rx: ApplicationTrafficSecret;
  tx: ApplicationTrafficSecret;
  rxEpoch: number;
  txEpoch: number;
  /** First bytes of a KeyUpdate whose rest has not come. */
  partial: Uint8Array;
}

export function packUpdateState(state: UpdateState): UpdateSecrets {
  const { hashLength, id } = state.rx.suite;
  const blob = new Uint8Array(AT_SECRETS + 2 * hashLength);
  const view = new DataView(blob.buffer);
  blob[0] = FORMAT;
  view.setUint16(AT_SUITE, id);
  view.setUint32(AT_RX_EPOCH, state.rxEpoch);
  view.setUint32(AT_TX_EPOCH, state.txEpoch);
  blob[AT_PARTIAL] = state.partial.length;
  blob.set(state.partial, AT_PARTIAL + 1);
  state.rx.store(blob, AT_SECRETS);
  state.tx.store(blob, AT_SECRETS + hashLength);
  return blob;
}

export function unpackUpdateState(blob: UpdateSecrets, provider: CryptoProvider): UpdateState {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  const suite =
    blob.length > AT_SECRETS && blob[0] === FORMAT ? suiteById(view.getUint16(AT_SUITE)) : undefined;
  const partialLength = blob[AT_PARTIAL] ?? 0;
  if (
    suite?.version !== TLS13 ||
    blob.length !== AT_SECRETS + 2 * suite.hashLength ||
    partialLength > PARTIAL_MAX
  ) {
    throw notUpdateSecrets(blob);
  }
  const middle = AT_SECRETS + suite.hashLength;
  return {
    rx: new ApplicationTrafficSecret(provider, suite, copyBytes(blob.subarray(AT_SECRETS, middle))),
    tx: new ApplicationTrafficSecret(provider, suite, copyBytes(blob.subarray(middle))),
    rxEpoch: view.getUint32(AT_RX_EPOCH),
    txEpoch: view.getUint32(AT_TX_EPOCH),
    partial: copyBytes(blob.subarray(AT_PARTIAL + 1, AT_PARTIAL + 1 + partialLength)),
  };
}

/** The caller's fault: it has kept something else, or only a part. */
export function notUpdateSecrets(blob: Uint8Array): TypeError {
  return Object.assign(
    new TypeError(
      `expected the update secrets of an established connection, received ${blob.length} bytes of something else; ` +
        'pass on what the established event or blob() gave',
    ),
    { code: 'ERR_SOCRYPT_TLS_UPDATE_SECRETS' },
  );
}

export function trafficSecret(secret: ApplicationTrafficSecret, epoch: number): TrafficSecret {
  const { suite, key, iv } = secret.keys();
  return { suite: suite.id, key, iv, recordSeq: 0n, epoch };
}

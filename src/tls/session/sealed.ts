/**
 * Small things given to a peer to bring back: tickets and cookies. Each is sealed with AES-256-GCM under a key of its
 * own, HMAC-SHA256(key, purpose || salt) with a random salt of 24 bytes, so that no count of them exhausts a key:
 * AES-GCM with random nonces under one key ends at 2^32 (SP 800-38D 8.3). docs/decisions/0010-tickets.md.
 *
 *     key name (16) || salt (24) || ciphertext || tag (16)
 */
import { joinBytes } from '../bytes.ts';
import type { CryptoProvider } from '../crypto-provider.ts';

export type Purpose = 'ticket' | 'cookie';

/** A key, and the name that tells it from others; the name is made from the key and cannot belong to another. */
export interface SealingKey {
  readonly name: Uint8Array;
  /** 32 bytes, secret. */
  readonly secret: Uint8Array;
}

export const SEALING_KEY_LENGTH = 32;
const NAME_LENGTH = 16;
const SALT_LENGTH = 24;
const HEADER_LENGTH = NAME_LENGTH + SALT_LENGTH;
const TAG_LENGTH = 16;
/** AES-256-GCM by the suite that has it. */
const AES_256_GCM = 0x1302;
/** Each key seals once. */
const NONCE = new Uint8Array(12);

const label = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const NAME_LABEL = label('socrypt sealing key name');
const PURPOSE_LABELS: Readonly<Record<Purpose, Uint8Array>> = {
  ticket: label('socrypt ticket 1'),
  cookie: label('socrypt cookie 1'),
};

/** Takes the secret over. Throws RangeError for a secret of another length, or of zeros (CVE-2020-13777). */
export function sealingKey(provider: CryptoProvider, secret: Uint8Array): SealingKey {
  if (secret.length !== SEALING_KEY_LENGTH || secret.every((byte) => byte === 0)) {
    throw new RangeError(`a sealing key has ${SEALING_KEY_LENGTH} random bytes`);
  }
  const name = Uint8Array.from(provider.hmac('sha256', secret, NAME_LABEL).subarray(0, NAME_LENGTH));
  return { name, secret };
}

export function seal(
  provider: CryptoProvider,
  key: SealingKey,
  purpose: Purpose,
  plaintext: Uint8Array,
): Uint8Array {
  const header = joinBytes([key.name, provider.randomBytes(SALT_LENGTH)]);
  const own = keyFor(provider, key, purpose, header);
  const sealed = provider.aeadSeal(AES_256_GCM, own, NONCE, header, plaintext);
  own.fill(0);
  return joinBytes([header, sealed]);
}

/** undefined: not sealed by this key for this purpose. */
export function open(
  provider: CryptoProvider,
  key: SealingKey,
  purpose: Purpose,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < HEADER_LENGTH + TAG_LENGTH || !isSealedBy(key, sealed)) return undefined;
  const header = sealed.subarray(0, HEADER_LENGTH);
  const own = keyFor(provider, key, purpose, header);
  const plaintext = provider.aeadOpen(AES_256_GCM, own, NONCE, header, sealed.subarray(HEADER_LENGTH));
  own.fill(0);
  return plaintext ?? undefined;
}

/** By the name, which is public. */
export function isSealedBy(key: SealingKey, sealed: Uint8Array): boolean {
  for (let i = 0; i < NAME_LENGTH; i++) if (sealed[i] !== key.name[i]) return false;
  return true;
}

/** What tells one sealed thing from every other: its salt. Empty when it is too short to have one. */
export function saltOf(sealed: Uint8Array): Uint8Array {
  return sealed.subarray(NAME_LENGTH, HEADER_LENGTH);
}

function keyFor(provider: CryptoProvider, key: SealingKey, purpose: Purpose, header: Uint8Array): Uint8Array {
  const input = joinBytes([PURPOSE_LABELS[purpose], header.subarray(NAME_LENGTH)]);
  return provider.hmac('sha256', key.secret, input);
}

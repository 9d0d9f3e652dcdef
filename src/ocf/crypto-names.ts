/** What numbers of native/ocf/op.hpp are called here: algorithms, kinds of operations, and how one ended. */
import { type ErrorCode, SocryptError } from '../errors.ts';

/** AlgId; iv and tag in bytes. */
export const ALGORITHMS = {
  'aes-128-gcm': { id: 1, iv: 12, tag: 16 },
  'aes-256-gcm': { id: 2, iv: 12, tag: 16 },
  'chacha20-poly1305': { id: 3, iv: 12, tag: 16 },
  'aes-128-cbc': { id: 16, iv: 16, tag: 0 },
  'aes-256-cbc': { id: 17, iv: 16, tag: 0 },
  'aes-128-ctr': { id: 18, iv: 16, tag: 0 },
  'aes-256-ctr': { id: 19, iv: 16, tag: 0 },
  'hmac-sha1': { id: 32, iv: 0, tag: 20 },
  'hmac-sha256': { id: 33, iv: 0, tag: 32 },
  'hmac-sha384': { id: 34, iv: 0, tag: 48 },
  'hmac-sha512': { id: 35, iv: 0, tag: 64 },
  sha1: { id: 36, iv: 0, tag: 20 },
  sha256: { id: 37, iv: 0, tag: 32 },
  sha384: { id: 38, iv: 0, tag: 48 },
  sha512: { id: 39, iv: 0, tag: 64 },
  null: { id: 48, iv: 0, tag: 0 },
} as const;
export type Algorithm = keyof typeof ALGORITHMS;

export const KEY_ALGORITHMS = {
  rsa: 64,
  'ecdsa-p256': 65,
  'ecdsa-p384': 66,
  ed25519: 67,
  dsa: 68,
  x25519: 80,
  'ecdh-p256': 81,
  'ecdh-p384': 82,
  dh: 83,
  modexp: 96,
  'modexp-crt': 97,
} as const;
export type KeyAlgorithm = keyof typeof KEY_ALGORITHMS;

/** Of drivers for experiments alone: to be listed and measured, not to be asked for. */
export const EXPERIMENTAL_ALGORITHMS = { 'des-ede3-cbc': 20 } as const;
export type ExperimentalAlgorithm = keyof typeof EXPERIMENTAL_ALGORITHMS;

/** AlgId of everything that a driver may have. */
export const ALGORITHM_IDS: ReadonlyMap<string, number> = new Map<string, number>([
  ...Object.entries(ALGORITHMS).map(([name, { id }]) => [name, id] as const),
  ...Object.entries(EXPERIMENTAL_ALGORITHMS),
  ...Object.entries(KEY_ALGORITHMS),
]);

export const KINDS = { seal: 0, open: 1, cipher: 2, decipher: 3, mac: 4, null: 5 } as const;
export type OpKind = keyof typeof KINDS;

export const KEY_KINDS = { sign: 6, verify: 7, derive: 8, modexp: 9, 'modexp-crt': 10 } as const;
export type KeyKind = keyof typeof KEY_KINDS;

/** One algorithm of a session: an AEAD, a cipher, a MAC; or a cipher and then a MAC. */
export interface AlgorithmWithKey {
  readonly name: Algorithm;
  readonly key: Uint8Array;
  /** Bytes; default: the full tag. */
  readonly tagLength?: number;
}
export interface SessionParams {
  readonly chain: readonly AlgorithmWithKey[];
  /** Default: 'any', which is hardware alone where software is not allowed. */
  readonly place?: 'any' | 'hardware' | 'software';
}
export const PLACES = { any: 0, hardware: 1, software: 2 } as const;

export interface KeyRequest {
  readonly kind: KeyKind;
  readonly algorithm: KeyAlgorithm;
  /** TLS SignatureScheme, for signatures. */
  readonly scheme?: number;
  /** PKCS#8, SubjectPublicKeyInfo or a scalar, where the algorithm has one. */
  readonly key?: Uint8Array;
  /** Big integers are big-endian. */
  readonly inputs: readonly Uint8Array[];
  /** Room for the result, in bytes. */
  readonly outputLength: number;
}

/** ocf::Status, by its errno. What is expected is said; what came is the caller's. */
const STATUSES: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  11: ['ERR_SOCRYPT_OCF_AGAIN', 'the session moved; send the op again'],
  95: ['ERR_SOCRYPT_OCF_NO_DRIVER', 'no driver can do this'],
  22: [
    'ERR_SOCRYPT_OCF_INVALID',
    'nothing but software could serve, and software is not allowed; or the parameters do not fit the session',
  ],
  38: ['ERR_SOCRYPT_OCF_ALGORITHM', 'expected an algorithm, or a chain of a cipher and a MAC, that exists'],
  129: ['ERR_SOCRYPT_OCF_KEY', 'expected a key of the length and form that the algorithm has'],
  90: ['ERR_SOCRYPT_OCF_TAG_LENGTH', 'expected a tag length that the algorithm has'],
  84: ['ERR_SOCRYPT_OCF_IV', 'expected an iv of the length that the algorithm has'],
  33: ['ERR_SOCRYPT_OCF_LENGTH', "expected a multiple of the cipher's block"],
  34: ['ERR_SOCRYPT_OCF_RANGE', 'expected a region inside its buffer'],
  14: ['ERR_SOCRYPT_OCF_OVERLAP', 'expected input and output that are the same bytes or share none'],
  9: ['ERR_SOCRYPT_OCF_CLOSED', 'expected a session that is open; this one is closed'],
  1: ['ERR_SOCRYPT_OCF_FOREIGN', "expected a session of one's own; this one is another's"],
  74: ['ERR_SOCRYPT_OCF_BAD_TAG', 'the tag or signature is not that of the data'],
  7: ['ERR_SOCRYPT_OCF_TOO_BIG', 'longer than every driver takes'],
  16: ['ERR_SOCRYPT_OCF_FULL', 'no room; let something finish, or close a session'],
  12: ['ERR_SOCRYPT_OCF_MEMORY', 'no memory'],
  19: ['ERR_SOCRYPT_OCF_GONE', 'the driver went away, and may have touched the data'],
  125: ['ERR_SOCRYPT_OCF_CANCELED', 'not begun'],
};

export function statusError(what: string, status: number): SocryptError {
  const [code, text] = STATUSES[-status] ?? ['ERR_SOCRYPT_OCF', `status ${status}`];
  return new SocryptError(code, `${what}: ${text}`);
}

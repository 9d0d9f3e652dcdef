/** What a session can be opened for. Each combination that makes no sense is one that does not compile. */
import { ALGORITHMS, KEY_ALGORITHMS } from './crypto-names.ts';

export type AeadName = 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305';
export type CipherName = 'aes-128-cbc' | 'aes-256-cbc' | 'aes-128-ctr' | 'aes-256-ctr';
export type MacName = 'hmac-sha1' | 'hmac-sha256' | 'hmac-sha384' | 'hmac-sha512';
export type HashName = 'sha1' | 'sha256' | 'sha384' | 'sha512';
export type SignatureName = 'rsa' | 'ecdsa-p256' | 'ecdsa-p384' | 'ed25519';
export type AgreementName = 'x25519' | 'ecdh-p256' | 'ecdh-p384';

declare const driver: unique symbol;
/** The number of an attached driver. */
export type DriverId = number & { readonly [driver]: true };

/** Who may serve: anybody, a kind of driver, or one driver alone. */
export type Placement =
  | { readonly place?: keyof typeof PLACES; readonly driver?: undefined }
  | { readonly driver: DriverId; readonly place?: undefined };
export const PLACES = { any: 0, hardware: 1, software: 2, accelerator: 3 } as const;
const EXACT = 4;

interface Data {
  /** Ops complete in the order in which they were asked for. */
  readonly ordered?: boolean;
  /** Results take the place of inputs, for drivers that can do no other; then an op is lost with its driver. */
  readonly inPlace?: boolean;
}
interface Keys {
  readonly ordered?: boolean;
}

export type AeadParams = Placement & Data & { readonly aead: AeadName; readonly key: Uint8Array };
/** Encrypts, then authenticates. */
export type ChainParams = Placement &
  Data & {
    readonly cipher: CipherName;
    readonly key: Uint8Array;
    readonly mac: MacName;
    readonly macKey: Uint8Array;
    /** Bytes; default: all of it. */
    readonly tagLength?: number;
  };
export type CipherParams = Placement &
  Data & { readonly cipher: CipherName; readonly key: Uint8Array; readonly mac?: undefined };
export type MacParams = Placement &
  Data & {
    readonly mac: MacName;
    readonly key: Uint8Array;
    readonly cipher?: undefined;
    readonly tagLength?: number;
  };
export type HashParams = Placement & Data & { readonly hash: HashName };
/** Data comes back as it is: what the framework itself costs. */
export type NullParams = Placement & Data & { readonly nothing: true };
/** PKCS#8, DER. */
export type SignParams = Placement & Keys & { readonly sign: SignatureName; readonly privateKey: Uint8Array };
/** SubjectPublicKeyInfo, DER. */
export type VerifyParams = Placement &
  Keys & { readonly verify: SignatureName; readonly publicKey: Uint8Array };
/** With a key of ours, its raw scalar. */
export type AgreeParams = Placement &
  Keys & { readonly agree: AgreementName; readonly privateKey: Uint8Array };
/** With a new key of ours per op. */
export type EphemeralParams = Placement &
  Keys & { readonly agree: AgreementName; readonly privateKey?: undefined };
/** Big integers that come with each op. */
export type ArithmeticParams = Placement & Keys & { readonly arithmetic: 'modexp' | 'modexp-crt' | 'dh' };

export type SessionParams =
  | AeadParams
  | ChainParams
  | CipherParams
  | MacParams
  | HashParams
  | NullParams
  | SignParams
  | VerifyParams
  | AgreeParams
  | EphemeralParams
  | ArithmeticParams;

export interface NativePart {
  readonly id: number;
  readonly tagLength: number;
  readonly key: Uint8Array;
}

const NO_KEY = new Uint8Array(0);

export function chainOf(params: SessionParams): NativePart[] {
  const part = (id: number, key: Uint8Array, tagLength = 0): NativePart => ({ id, tagLength, key });
  if ('aead' in params) return [part(ALGORITHMS[params.aead].id, params.key)];
  if ('hash' in params) return [part(ALGORITHMS[params.hash].id, NO_KEY)];
  if ('nothing' in params) return [part(ALGORITHMS.null.id, NO_KEY)];
  if ('sign' in params) return [part(KEY_ALGORITHMS[params.sign], params.privateKey)];
  if ('verify' in params) return [part(KEY_ALGORITHMS[params.verify], params.publicKey)];
  if ('agree' in params) return [part(KEY_ALGORITHMS[params.agree], params.privateKey ?? NO_KEY)];
  if ('arithmetic' in params) return [part(KEY_ALGORITHMS[params.arithmetic], NO_KEY)];
  if (params.cipher === undefined) return [part(ALGORITHMS[params.mac].id, params.key, params.tagLength)];
  const cipher = part(ALGORITHMS[params.cipher].id, params.key);
  if (params.mac === undefined) return [cipher];
  return [cipher, part(ALGORITHMS[params.mac].id, params.macKey, params.tagLength)];
}

export function placeOf(params: Placement): { readonly place: number; readonly driver: number } {
  if (params.driver !== undefined) return { place: EXACT, driver: params.driver };
  return { place: PLACES[params.place ?? 'any'], driver: 0 };
}

/** Bytes of a session's tag. */
export function tagLengthOf(params: AeadParams | ChainParams | MacParams): number {
  if ('aead' in params) return ALGORITHMS[params.aead].tag;
  return params.tagLength ?? ALGORITHMS[params.mac].tag;
}

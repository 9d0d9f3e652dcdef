/**
 * Drivers written in TypeScript: what one implements, and what it is given. It sees copies and gives copies, so nothing that
 * it does too late, twice or not at all can touch the memory of an op. docs/ocf.md has one on a page.
 */
import type { AeadName, AgreementName, CipherName, HashName, MacName, SignatureName } from './params.ts';

/** Which algorithms a driver has. Each of them has to give the known answers before the driver gets any work. */
export type OfferName =
  | AeadName
  | CipherName
  | MacName
  | HashName
  | SignatureName
  | AgreementName
  | 'null'
  | 'dh'
  | 'dsa'
  | 'modexp'
  | 'modexp-crt';
/** One algorithm, or a cipher and then a MAC. */
export type Offer = OfferName | readonly [CipherName, MacName];

/** A burst of n ops over b bytes takes (batchNs + n * opNs + b * byteNs) / lanes. */
export interface DriverCost {
  readonly batchNs: number;
  readonly opNs: number;
  readonly byteNs: number;
  readonly lanes?: number;
}

/** A session as the driver gets it: its key, or those of cipher and MAC. */
export type DriverSession =
  | {
      readonly algorithm: OfferName;
      readonly mac?: undefined;
      readonly key: Uint8Array;
      readonly tagLength: number;
    }
  | {
      readonly algorithm: CipherName;
      readonly mac: MacName;
      readonly key: Uint8Array;
      readonly macKey: Uint8Array;
      readonly tagLength: number;
    };

/** Every op is answered once. What answers it is true, or false when nobody waits for it any more. */
interface Base<S> {
  /** What `open` returned for the session. */
  readonly session: S;
  /** Not by this driver: the op is untouched, and another one is asked. */
  elsewhere(): boolean;
}
interface Data {
  readonly iv: Uint8Array;
  readonly aad: Uint8Array;
}
export type DriverOp<S> =
  | (Base<S> &
      Data & { readonly kind: 'seal'; readonly plaintext: Uint8Array; done(sealed: Uint8Array): boolean })
  | (Base<S> &
      Data & {
        readonly kind: 'open';
        readonly sealed: Uint8Array;
        done(plaintext: Uint8Array): boolean;
        badTag(): boolean;
      })
  | (Base<S> & {
      readonly kind: 'encrypt' | 'decrypt';
      readonly iv: Uint8Array;
      readonly data: Uint8Array;
      done(data: Uint8Array): boolean;
    })
  | (Base<S> & {
      readonly kind: 'mac';
      readonly aad: Uint8Array;
      readonly data: Uint8Array;
      done(tag: Uint8Array): boolean;
    })
  | (Base<S> & {
      readonly kind: 'check-mac';
      readonly aad: Uint8Array;
      readonly data: Uint8Array;
      readonly tag: Uint8Array;
      done(): boolean;
      badTag(): boolean;
    })
  | (Base<S> & { readonly kind: 'null'; readonly data: Uint8Array; done(data: Uint8Array): boolean })
  | (Base<S> & {
      readonly kind: 'sign';
      /** TLS SignatureScheme. */
      readonly scheme: number;
      /** The message; for DSA digest, p, q, g, x. */
      readonly inputs: readonly Uint8Array[];
      /** The signature; for DSA r and s. */
      done(...results: readonly Uint8Array[]): boolean;
    })
  | (Base<S> & {
      readonly kind: 'verify';
      readonly scheme: number;
      /** Message and signature; for DSA digest, p, q, g, y, r, s. */
      readonly inputs: readonly Uint8Array[];
      done(): boolean;
      badTag(): boolean;
    })
  | (Base<S> & {
      /** Peer's public value; base, exponent, modulus; base, p, q, dp, dq, 1/q: as native/ocf/op.hpp has them. */
      readonly kind: 'derive' | 'modexp' | 'modexp-crt';
      readonly inputs: readonly Uint8Array[];
      /** As many as were asked for. */
      done(...results: readonly Uint8Array[]): boolean;
      /** The peer's value is none. */
      badTag(): boolean;
    });

export interface JsDriver<S = unknown> {
  readonly name: string;
  /** 'software': this thread's own time; 'accelerator': another's; 'hardware': a device. */
  readonly kind: 'software' | 'accelerator' | 'hardware';
  readonly offers: readonly Offer[];
  /** Default: measured when it is attached. */
  readonly cost?: DriverCost;
  /** Ops that it has at most. Default: 256. */
  readonly queueDepth?: number;
  /** Bytes per op; default: any. */
  readonly maxLength?: number;
  readonly maxSessions?: number;
  /** An op that is not answered by then goes elsewhere. Default: 1,000. */
  readonly answerWithinMs?: number;
  /** What it throws makes the session's ops go elsewhere. */
  open(session: DriverSession): S;
  close?(session: S): void;
  /** One call per burst. What it throws, or rejects with, makes those of its ops go elsewhere that are not answered. */
  process(ops: readonly DriverOp<S>[]): void | Promise<void>;
  /** It is told what it did wrong, and once that it is detached for it. */
  fault?(fault: DriverFault): void;
}

export type DriverFault =
  | { readonly type: 'threw'; readonly error: unknown }
  | { readonly type: 'silent'; readonly ops: number }
  | { readonly type: 'late' }
  | { readonly type: 'wrong-length' }
  | { readonly type: 'detached' };

import { createCipheriv } from 'node:crypto';
import { Random as Source } from '../support/random.ts';

/** Seeded, so that a failure can be played again: SOCRYPT_TEST_SEED. */
export class Random {
  readonly seed = Number(process.env.SOCRYPT_TEST_SEED ?? Math.floor(Math.random() * 0x1_0000_0000)) >>> 0;
  readonly #source = new Source(this.seed);
  constructor() {
    console.log(`seed: SOCRYPT_TEST_SEED=${this.seed}`);
  }
  /** 32 bits. */
  next(): number {
    return this.below(0x1_0000_0000);
  }
  below(limit: number): number {
    return this.#source.below(limit);
  }
  bytes(length: number): Uint8Array {
    return new Uint8Array(this.#source.bytes(length));
  }
}

const CIPHERS = { 4865: 'aes-128-gcm', 4866: 'aes-256-gcm', 4867: 'chacha20-poly1305' } as const;
/** Of TLS 1.3. */
export type Suite = keyof typeof CIPHERS;
export const SUITES: readonly Suite[] = [0x1301, 0x1302, 0x1303];
export const keyBytes = (suite: Suite) => (suite === 0x1301 ? 16 : 32);

/** One TLS 1.3 record around `inner` (content, type, padding), sealed by node:crypto. */
export function sealInner(
  suite: Suite,
  key: Uint8Array,
  iv: Uint8Array,
  recordSeq: bigint,
  inner: Uint8Array,
): Uint8Array {
  const header = Buffer.from([23, 3, 3, (inner.length + 16) >> 8, (inner.length + 16) & 255]);
  const nonce = Buffer.from(iv);
  for (let i = 0; i < 8; i++) {
    nonce[11 - i] = (nonce[11 - i] as number) ^ Number((recordSeq >> BigInt(8 * i)) & 255n);
  }
  // One name at a time: the overloads of createCipheriv are by cipher.
  const cipher = createCipheriv(CIPHERS[suite] as 'aes-128-gcm', key, nonce, { authTagLength: 16 });
  cipher.setAAD(header, { plaintextLength: inner.length });
  return new Uint8Array(Buffer.concat([header, cipher.update(inner), cipher.final(), cipher.getAuthTag()]));
}

/** The PRF of TLS 1.2 (RFC 5246 5) out of HMAC. */
import type { HashName } from '../tls/index.ts';

type Hmac = (hash: HashName, key: Uint8Array, data: Uint8Array) => Uint8Array;

/** P_hash: A(0) = label || seed, A(i) = HMAC(A(i-1)); output HMAC(A(1) || A(0)), HMAC(A(2) || A(0)), … */
export function prf12(
  hmac: Hmac,
  hash: HashName,
  secret: Uint8Array,
  label: string,
  seed: Uint8Array,
  length: number,
): Uint8Array {
  const hashLength = hash === 'sha256' ? 32 : 48;
  const input = new Uint8Array(hashLength + label.length + seed.length);
  const labelled = input.subarray(hashLength);
  for (let i = 0; i < label.length; i++) labelled[i] = label.charCodeAt(i);
  labelled.set(seed, label.length);
  const output = new Uint8Array(length);
  let a = hmac(hash, secret, labelled);
  for (let at = 0; at < length; at += hashLength) {
    input.set(a);
    const block = hmac(hash, secret, input);
    output.set(block.subarray(0, length - at), at);
    block.fill(0);
    a = hmac(hash, secret, a);
  }
  return output;
}

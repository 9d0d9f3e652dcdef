/** Opens a record with node:crypto: a second opinion on what the device has put on the wire. */
import { createDecipheriv } from 'node:crypto';
import type { NativeSample } from '../native.ts';

const TAG = 16;

/** The sentence that says what is wrong; undefined: content and type are what was sent (RFC 8446 5.2, RFC 5288 3, RFC 7905 2). */
export function wrongWith({
  suite,
  key,
  iv,
  recordSeq,
  type,
  content,
  wire,
}: NativeSample): string | undefined {
  const tls12 = suite >= 0xc000;
  const chacha = suite === 0x1303 || suite === 0xcca8 || suite === 0xcca9;
  const keyLength = suite === 0x1301 || suite === 0xc02b || suite === 0xc02f ? 16 : 32;
  const before = tls12 && !chacha ? 13 : 5;
  const sequence = Buffer.alloc(8);
  sequence.writeBigUInt64BE(recordSeq);
  const nonce = Buffer.from(iv.subarray(0, 12));
  if (before === 13) nonce.set(wire.subarray(5, 13), 4);
  else for (let i = 0; i < 8; i++) nonce[4 + i]! ^= sequence[i]!;
  const text = wire.subarray(before, wire.length - TAG);
  const aad = tls12
    ? Buffer.concat([sequence, Buffer.from([type, 3, 3, text.length >> 8, text.length & 255])])
    : wire.subarray(0, 5);
  const name = chacha ? 'chacha20-poly1305' : keyLength === 16 ? 'aes-128-gcm' : 'aes-256-gcm';
  const decipher = createDecipheriv(name as 'aes-128-gcm', key.subarray(0, keyLength), nonce, {
    authTagLength: TAG,
  });
  decipher.setAAD(aad, { plaintextLength: text.length });
  decipher.setAuthTag(wire.subarray(wire.length - TAG));
  let opened: Buffer;
  try {
    opened = Buffer.concat([decipher.update(text), decipher.final()]);
  } catch {
    return `node:crypto does not open record ${recordSeq} of a connection with suite 0x${suite.toString(16)}`;
  }
  if (!tls12) {
    if (opened.at(-1) !== type) return `record ${recordSeq} opens with another content type`;
    opened = opened.subarray(0, -1);
  }
  return opened.equals(content) ? undefined : `record ${recordSeq} opens with other content than was sent`;
}

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type NativeGroup, type NativeSuite, native } from '../../src/native.ts';

type Test = Record<string, string> & {
  tcId: number;
  flags: string[];
  result: 'valid' | 'invalid' | 'acceptable';
};
interface Group {
  ivSize?: number;
  tagSize?: number;
  keySize?: number;
  tests: Test[];
}

function groups(file: string): Group[] {
  const url = new URL(`../vectors/wycheproof/${file}_test.json`, import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { testGroups: Group[] }).testGroups;
}
/** A plain Uint8Array: Buffers never compare equal to one. */
const bytes = (hex: string | undefined) => new Uint8Array(Buffer.from(hex ?? '', 'hex'));
const concat = (a: Uint8Array, b: Uint8Array) => new Uint8Array(Buffer.concat([a, b]));

describe(`Wycheproof through the binding (${native.crypto.softDriverName()})`, () => {
  for (const file of ['aes_gcm', 'chacha20_poly1305']) {
    it(file, () => {
      let ran = 0;
      for (const group of groups(file)) {
        const suite: NativeSuite =
          file === 'chacha20_poly1305' ? 0x1303 : group.keySize === 128 ? 0x1301 : 0x1302;
        if (group.ivSize !== 96 || group.tagSize !== 128 || group.keySize === 192) continue;
        for (const test of group.tests) {
          ran++;
          const key = bytes(test.key);
          const iv = bytes(test.iv);
          const aad = bytes(test.aad);
          const plaintext = bytes(test.msg);
          const sealed = concat(bytes(test.ct), bytes(test.tag));
          const opened = native.crypto.aeadOpen(suite, key, iv, aad, sealed);
          expect(opened, `tcId ${test.tcId}`).toEqual(test.result === 'valid' ? plaintext : null);
          if (test.result === 'valid') {
            expect(native.crypto.aeadSeal(suite, key, iv, aad, plaintext), `tcId ${test.tcId}`).toEqual(
              sealed,
            );
          }
        }
      }
      console.log(`wycheproof ${file} through the binding: ${ran} ran`);
      expect(ran).toBeGreaterThan(100);
    });
  }

  const agreements: [string, NativeGroup, number][] = [
    ['x25519', 0x001d, 32],
    ['ecdh_secp256r1_ecpoint', 0x0017, 32],
  ];
  for (const [file, group, length] of agreements) {
    it(file, () => {
      let ran = 0;
      for (const { tests } of groups(file)) {
        for (const test of tests) {
          ran++;
          // EC scalars come as signed integers, the binding takes them at their fixed length.
          const hex = test.private ?? '';
          const scalar = group === 0x001d ? hex : hex.replace(/^(00)+/, '').padStart(2 * length, '0');
          const peer = bytes(test.public);
          const refused =
            test.result === 'invalid' || (group === 0x001d ? /^0*$/.test(test.shared ?? '') : peer[0] !== 4); // compressed points: not in TLS 1.3
          const secret = native.crypto.agree(group, bytes(scalar), peer);
          expect(secret, `tcId ${test.tcId}`).toEqual(refused ? null : bytes(test.shared));
        }
      }
      console.log(`wycheproof ${file} through the binding: ${ran} ran`);
      expect(ran).toBeGreaterThan(100);
    });
  }

  it('hmac_sha256', () => {
    for (const group of groups('hmac_sha256')) {
      for (const test of group.tests) {
        const tag = native.crypto.hmac('sha256', bytes(test.key), bytes(test.msg));
        const same = native.crypto.equal(tag.slice(0, (group.tagSize ?? 0) / 8), bytes(test.tag));
        expect(same, `tcId ${test.tcId}`).toBe(test.result === 'valid');
      }
    }
  });
});

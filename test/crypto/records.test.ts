import { createCipheriv } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { native } from '../../src/native.ts';
import { keyBytes, Random, SUITES, sealInner } from './random.ts';

const random = new Random();
const { crypto } = native;
const ALERT = { unexpectedMessage: 10, badRecordMac: 20, recordOverflow: 22 };

describe(`records (${crypto.softDriverName()})`, () => {
  for (const suite of SUITES) {
    it(`suite 0x${suite.toString(16)}: sealed stream equals node:crypto's`, () => {
      for (let round = 0; round < 8; round++) {
        const key = random.bytes(keyBytes(suite));
        const iv = random.bytes(12);
        const recordSeq = (BigInt(random.next()) << 32n) | BigInt(random.next());
        const sizes = [
          0,
          1,
          15,
          16,
          17,
          16383,
          16384,
          ...Array.from({ length: 20 }, () => random.below(16385)),
        ];
        const payloads = sizes.map((size) => random.bytes(size));
        const stream = crypto.sealRecords(suite, key, iv, recordSeq, payloads);
        const expected = payloads.map((payload, i) =>
          sealInner(suite, key, iv, recordSeq + BigInt(i), new Uint8Array([...payload, 23])),
        );
        expect(Buffer.compare(stream, Buffer.concat(expected)), `seed ${random.seed}, round ${round}`).toBe(
          0,
        );
        let at = 0;
        for (const [i, payload] of payloads.entries()) {
          const opened = crypto.openRecord(suite, key, iv, recordSeq + BigInt(i), stream.subarray(at));
          if (opened === null || typeof opened === 'number') throw new Error(`record ${i}: ${opened}`);
          expect(opened.type).toBe(23);
          expect(opened.consumed).toBe(payload.length + 22);
          // toEqual walks a typed array element by element; this is memcmp.
          expect(Buffer.compare(opened.content, payload), `record ${i}`).toBe(0);
          at += payload.length + 22;
        }
        expect(at).toBe(stream.length);
      }
    });

    it(`suite 0x${suite.toString(16)}: what a peer may get wrong`, () => {
      const key = random.bytes(keyBytes(suite));
      const iv = random.bytes(12);
      const open = (record: Uint8Array, seq = 0n) => crypto.openRecord(suite, key, iv, seq, record);
      const seal = (...inner: number[]) => sealInner(suite, key, iv, 0n, new Uint8Array(inner));
      expect(open(seal(1, 2, 22, 0, 0))).toEqual({ type: 22, content: new Uint8Array([1, 2]), consumed: 26 });
      expect(open(seal(1, 2, 22).subarray(0, 20))).toBe(null);
      expect(open(seal(1, 2, 22), 1n)).toBe(ALERT.badRecordMac);
      expect(open(seal(0, 0))).toBe(ALERT.unexpectedMessage);
      expect(open(seal(22))).toBe(ALERT.unexpectedMessage);
      expect(open(seal(1, 20))).toBe(ALERT.unexpectedMessage);
      expect(open(new Uint8Array([20, 3, 3, 0, 1, 1]))).toBe(ALERT.unexpectedMessage);
      expect(open(new Uint8Array([23, 3, 3, 0x41, 1]))).toBe(ALERT.recordOverflow);
      expect(open(seal(...new Array(16385).fill(9), 23))).toBe(ALERT.recordOverflow);
      expect(open(new Uint8Array([23, 3, 3, 0, 3, 1, 2, 3]))).toBe(ALERT.badRecordMac);
    });
  }

  it.each([
    [0xc02b, 'aes-128-gcm', 16],
    [0xc030, 'aes-256-gcm', 32],
    [0xcca8, 'chacha20-poly1305', 32],
  ] as const)("TLS 1.2, suite %i: sealed stream equals node:crypto's", (suite, name, keyLength) => {
    const gcm = suite !== 0xcca8;
    const key = random.bytes(keyLength);
    const iv = random.bytes(gcm ? 4 : 12);
    const payloads = [1, 16384, 0, 500].map((size) => random.bytes(size));
    const stream = crypto.sealRecords(suite, key, iv, 1n, payloads);
    const expected = payloads.map((payload, i) => {
      const seq = Buffer.alloc(8);
      seq.writeBigUInt64BE(BigInt(i + 1));
      const nonce = gcm ? Buffer.concat([iv, seq]) : Buffer.from(iv);
      if (!gcm) for (let at = 0; at < 8; at++) nonce[4 + at]! ^= seq[at]!;
      const length = payload.length + (gcm ? 24 : 16);
      const header = Buffer.from([23, 3, 3, length >> 8, length & 255]);
      const cipher = createCipheriv(name as 'aes-128-gcm', key, nonce, { authTagLength: 16 });
      const aad = Buffer.concat([seq, Buffer.from([23, 3, 3, payload.length >> 8, payload.length & 255])]);
      cipher.setAAD(aad, { plaintextLength: payload.length });
      const sealed = [cipher.update(payload), cipher.final(), cipher.getAuthTag()];
      return Buffer.concat([header, gcm ? seq : Buffer.alloc(0), ...sealed]);
    });
    expect(Buffer.compare(stream, Buffer.concat(expected)), `seed ${random.seed}`).toBe(0);
    const opened = crypto.openRecord(suite, key, iv, 1n, stream);
    expect(opened).toMatchObject({ type: 23, consumed: expected[0]!.length });
    expect(crypto.openRecord(suite, key, iv, 2n, stream)).toBe(ALERT.badRecordMac);
  });

  it('measures', () => {
    expect(crypto.measureSeal(0x1301, 16384, 100)).toBeGreaterThan(0);
    expect(() => crypto.measureSeal(0x1301, 16385, 1)).toThrow(
      expect.objectContaining({ code: 'ERR_SOCRYPT_ARGUMENT' }),
    );
  });
});

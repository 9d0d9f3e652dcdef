/** The key schedules in one call per step, against the same made of single derivations by node:crypto. */
import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type HashName, native } from '../../src/native.ts';
import { nodeCryptoProvider } from '../support/node-crypto-provider.ts';
import { Random } from './random.ts';

const { crypto } = native;
const oracle = nodeCryptoProvider();
const random = new Random();
const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const HASHES = [
  ['sha256', 32],
  ['sha384', 48],
] as const;
const EMPTY = new Uint8Array(0);

function traffic(hash: HashName, keyLength: number, secret: Uint8Array, withFinished: boolean): Uint8Array[] {
  const expand = (label: string, length: number) =>
    oracle.hkdfExpandLabel(hash, secret, label, EMPTY, length);
  const finished = withFinished ? [expand('finished', secret.length)] : [];
  return [secret, ...finished, expand('key', keyLength), expand('iv', 12)];
}

describe.each(HASHES)('TLS 1.3 stages, %s', (hash, length) => {
  it.each([16, 32])('keys of %i bytes', (keyLength) => {
    for (const secretLength of [32, 48, 64]) {
      const salt = random.bytes(length);
      const transcript = random.bytes(length);
      const shared = random.bytes(secretLength);
      const secret = oracle.hkdfExtract(hash, salt, shared);
      const derive = (of: Uint8Array, label: string, context = transcript) =>
        oracle.hkdfExpandLabel(hash, of, label, context, length);
      expect(Buffer.from(crypto.handshakeStage(hash, keyLength, salt, shared, transcript))).toEqual(
        Buffer.concat([
          secret,
          ...traffic(hash, keyLength, derive(secret, 'c hs traffic'), true),
          ...traffic(hash, keyLength, derive(secret, 's hs traffic'), true),
        ]),
      );
      const derived = derive(secret, 'derived', oracle.hash(hash, EMPTY));
      const master = oracle.hkdfExtract(hash, derived, new Uint8Array(length));
      expect(Buffer.from(crypto.applicationStage(hash, keyLength, secret, transcript))).toEqual(
        Buffer.concat([
          master,
          ...traffic(hash, keyLength, derive(master, 'c ap traffic'), false),
          ...traffic(hash, keyLength, derive(master, 's ap traffic'), false),
          derive(master, 'exp master'),
        ]),
      );
    }
  });
});

describe('the PRF of TLS 1.2', () => {
  it('gives the published vectors', () => {
    // Posted to the TLS working group in 2009 ("Test vectors for TLS 1.2 PRF") and used by most stacks since.
    const output = crypto.prf12(
      'sha256',
      hex('9bbe436ba940f017b17652849a71db35'),
      'test label',
      hex('a0ba9f936cda311827a6f796ffd5198c'),
      100,
    );
    expect(Buffer.from(output).toString('hex')).toBe(
      'e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af' +
        '0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66',
    );
  });
  it.each(HASHES)('equals RFC 5246 5 written over HMAC, %s', (hash, hashLength) => {
    const hmac = (key: Uint8Array, ...parts: Uint8Array[]) =>
      createHmac(hash, key).update(Buffer.concat(parts)).digest();
    for (const length of [0, 1, 12, hashLength, hashLength + 1, 48, 104, 500]) {
      const secret = random.bytes(random.below(200));
      const seed = random.bytes(random.below(length === 500 ? 70_000 : 100));
      const labelled = Buffer.concat([Buffer.from('key expansion'), seed]);
      const blocks: Buffer[] = [];
      let a = hmac(secret, labelled);
      while (blocks.length * hashLength < length) {
        blocks.push(hmac(secret, a, labelled));
        a = hmac(secret, a);
      }
      expect(
        Buffer.from(crypto.prf12(hash, secret, 'key expansion', seed, length)),
        `seed ${random.seed}`,
      ).toEqual(Buffer.concat(blocks).subarray(0, length));
    }
  });
});

it('arguments are refused with what was expected', () => {
  const some = new Uint8Array(32);
  expect(() => crypto.handshakeStage('sha384', 16, some, some, some)).toThrow(/48 bytes for salt/);
  expect(() => crypto.applicationStage('sha256', 15, some, some)).toThrow(/keyLength/);
  expect(() => crypto.applicationStage('sha256', 16, some, some.subarray(1))).toThrow(
    /32 bytes for transcript/,
  );
  expect(() => crypto.prf12('sha256', some, 'x', some, 70_000)).toThrow(/65536/);
});

/** The handshake over the addon's cryptography, against a client made of node:crypto; an oracle for each step. */
import { describe, expect, test } from 'vitest';
import { nativeCryptoProvider } from '../../src/control/native-crypto-provider.ts';
import { native } from '../../src/native.ts';
import { PostHandshake } from '../../src/tls/index.ts';
import { Driver } from '../support/handshake-driver.ts';
import { nodeCryptoProvider, P256, X25519 } from '../support/node-crypto-provider.ts';
import { TestClient } from '../support/tls13-client.ts';

const provider = nativeCryptoProvider(native.crypto);
const oracle = nodeCryptoProvider();

describe.each([0x1301, 0x1302, 0x1303])('suite %i', (suite) => {
  test.each([X25519, P256])('group %i', (group) => {
    const client = new TestClient({ suites: [suite], groups: [group] });
    const driver = new Driver({}, provider);
    client.receive(driver.feed(client.helloRecord()));
    driver.feed(client.seal(22, client.finished()));
    const established = driver.established!;
    expect(Buffer.from(established.tx.key)).toEqual(
      Buffer.from(client.keysOf(client.serverApplicationSecret).key),
    );
    const keyUpdate = Buffer.from('1800000101', 'hex');
    const byNative = PostHandshake.open(established.update, provider).receive(keyUpdate);
    const byNode = PostHandshake.open(established.update, oracle).receive(keyUpdate);
    const plain = (value: unknown) =>
      JSON.stringify(value, (_key, part) =>
        part instanceof Uint8Array
          ? Buffer.from(part).toString('hex')
          : typeof part === 'bigint'
            ? `${part}`
            : part,
      );
    expect(plain(byNative)).toBe(plain(byNode));
  });

  test('a record that was changed does not open', () => {
    const key = new Uint8Array(suite === 0x1301 ? 16 : 32).fill(3);
    const nonce = new Uint8Array(12).fill(4);
    const aad = new Uint8Array(5).fill(5);
    const sealed = Uint8Array.from(provider.aeadSeal(suite, key, nonce, aad, new Uint8Array(40)));
    expect(oracle.aeadOpen(suite, key, nonce, aad, sealed)).not.toBeNull();
    for (let length = 0; length <= sealed.length; length++) {
      const changed = sealed.slice(0, length);
      if (length === sealed.length) changed[7]! ^= 1;
      expect(provider.aeadOpen(suite, key, nonce, aad, changed)).toBeNull();
    }
  });
});

test('shares that are not points give null', () => {
  expect(provider.keyShare(X25519, new Uint8Array(32))).toBeNull();
  expect(provider.keyShare(X25519, new Uint8Array(31).fill(9))).toBeNull();
  expect(provider.keyShare(P256, new Uint8Array(65).fill(4))).toBeNull();
});

test('random bytes are not handed out twice, also across the pool and beyond it', () => {
  const seen = new Set<string>();
  for (let i = 0; i < 1000; i++) seen.add(Buffer.from(provider.randomBytes(32)).toString('hex'));
  expect(seen.size).toBe(1000);
  expect(provider.randomBytes(10_000)).toHaveLength(10_000);
  expect(seen.has('0'.repeat(64))).toBe(false);
});

describe('the workbench', () => {
  const { memory } = native.crypto.workbench;
  const wiped = () => memory.every((byte) => byte === 0);

  test.each(['sha256', 'sha384'] as const)('gives what node:crypto gives, and keeps nothing: %s', (hash) => {
    const bytes = (length: number) => provider.randomBytes(length);
    const hex = (result: Uint8Array) => Buffer.from(result).toString('hex');
    const length = hash === 'sha256' ? 32 : 48;
    for (const size of [0, 1, 31, 64, 1000, 20_000, memory.length, memory.length + 1]) {
      const data = bytes(size);
      const key = bytes(length);
      expect(hex(provider.hash(hash, data))).toBe(hex(oracle.hash(hash, data)));
      expect(hex(provider.hmac(hash, key, data))).toBe(hex(oracle.hmac(hash, key, data)));
      expect(hex(provider.hkdfExtract(hash, key, data))).toBe(hex(oracle.hkdfExtract(hash, key, data)));
      const changed = Uint8Array.from(data);
      expect(provider.equal(data, changed)).toBe(true);
      if (size > 0) changed[size - 1]! ^= 1;
      expect(provider.equal(data, changed)).toBe(size === 0);
      expect(wiped()).toBe(true);
      if (size > 16_384) continue;
      for (const suite of [0x1301, 0x1302, 0x1303]) {
        const own = bytes(suite === 0x1301 ? 16 : 32);
        const nonce = bytes(12);
        const aad = bytes(5);
        const sealed = provider.aeadSeal(suite, own, nonce, aad, data);
        expect(hex(sealed)).toBe(hex(oracle.aeadSeal(suite, own, nonce, aad, data)));
        expect(hex(provider.aeadOpen(suite, own, nonce, aad, sealed)!)).toBe(hex(data));
        sealed[sealed.length - 1]! ^= 1;
        expect(provider.aeadOpen(suite, own, nonce, aad, sealed)).toBeNull();
        expect(wiped()).toBe(true);
      }
    }
    for (const context of [0, length, 255])
      for (const out of [0, 12, 255, 256, 1000]) {
        const secret = bytes(length);
        const given = bytes(context);
        expect(hex(provider.hkdfExpandLabel(hash, secret, 'res master', given, out))).toBe(
          hex(
            // The oracle makes one block; what is longer is compared with the call that is tested elsewhere.
            out > length
              ? native.crypto.hkdfExpandLabel(hash, secret, 'res master', given, out)
              : oracle.hkdfExpandLabel(hash, secret, 'res master', given, out),
          ),
        );
        expect(wiped()).toBe(true);
      }
  });

  test('a step that throws leaves nothing to the next one', () => {
    const secret = new Uint8Array(32).fill(7);
    expect(() => provider.hkdfExpandLabel('sha256', secret, 'x'.repeat(250), secret, 32)).toThrow(
      expect.objectContaining({ code: 'ERR_SOCRYPT_CRYPTO' }),
    );
    expect(Buffer.from(provider.hmac('sha256', secret, secret))).toEqual(
      Buffer.from(oracle.hmac('sha256', secret, secret)),
    );
    expect(wiped()).toBe(true);
  });

  test('operands that do not fit, and numbers that are none, are refused', () => {
    const { workbench } = native.crypto;
    const refused = expect.objectContaining({ code: 'ERR_SOCRYPT_CRYPTO' });
    expect(() => workbench.hash(256, memory.length + 1)).toThrow(refused);
    expect(() => workbench.hash(512, 1)).toThrow(refused);
    expect(() => workbench.hmac(256, 0xffff_ffff, 0xffff_ffff)).toThrow(refused);
    expect(() => workbench.expandLabel(256, 32, 3, 0, 256)).toThrow(refused);
    expect(() => workbench.handshakeStage(256, 33, 32)).toThrow(refused);
    expect(() => workbench.applicationStage(384, 64)).toThrow(refused);
    expect(() => workbench.seal(0x1301, memory.length, 0)).toThrow(refused);
    expect(() => workbench.seal(0x1309 as 0x1301, 0, 0)).toThrow(refused);
    expect(() => workbench.hash(256, 'x' as unknown as number)).toThrow(refused);
  });
});

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

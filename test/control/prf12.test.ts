import { createHmac, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { prf12 } from '../../src/control/prf12.ts';
import { prf } from '../support/tls12-client.ts';

test.each(['sha256', 'sha384'] as const)('prf12 with %s is RFC 5246 5 at every length', (hash) => {
  const hmac = (name: string, key: Uint8Array, data: Uint8Array) =>
    createHmac(name, key).update(data).digest();
  const secret = randomBytes(48);
  const seed = randomBytes(64);
  for (let length = 0; length <= 150; length++) {
    const made = Buffer.from(prf12(hmac, hash, secret, 'key expansion', seed, length));
    expect(made).toEqual(prf(hash, secret, 'key expansion', seed, length));
  }
});

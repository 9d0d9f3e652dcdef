/** /dev/crypto in TypeScript; node:crypto is the oracle. */
import { createCipheriv, randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { CryptoDevice, type CryptoDeviceOptions } from '../../src/ocf/crypto-device.ts';
import { BLOCK_DRIVERS, haveBlockCiphers } from './support.ts';

const devices: CryptoDevice[] = [];
afterEach(() => {
  for (const device of devices.splice(0)) device.close();
});
function open(options: CryptoDeviceOptions = { allowSoftware: true }): CryptoDevice {
  const device = new CryptoDevice(options);
  devices.push(device);
  return device;
}
const code = (action: () => unknown) => {
  try {
    action();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

describe('CryptoDevice', () => {
  it.skipIf(!haveBlockCiphers)(
    'encrypts 1 MB in pieces of what a chip takes, in place (skipped where no driver has CBC)',
    () => {
      const device = open({ allowSoftware: true, drivers: BLOCK_DRIVERS });
      const key = randomBytes(16);
      const iv = randomBytes(16);
      const plain = randomBytes(1 << 20);
      const session = device.openSession({ chain: [{ name: 'aes-128-cbc', key }] });
      const data = Buffer.from(plain);
      device.crypt({ session, kind: 'cipher', iv, source: data });
      const cipher = createCipheriv('aes-128-cbc', key, iv).setAutoPadding(false);
      expect(data.equals(Buffer.concat([cipher.update(plain), cipher.final()]))).toBe(true);
      device.crypt({ session, kind: 'decipher', iv, source: data });
      expect(data.equals(plain)).toBe(true);
    },
  );

  it('keeps its sessions to itself, and has its own word for what is wrong', () => {
    const [device, other] = [open(), open()];
    const key = randomBytes(16);
    const session = device.openSession({ chain: [{ name: 'aes-128-gcm', key }] });
    const op = {
      session,
      kind: 'seal' as const,
      iv: Buffer.alloc(12),
      source: Buffer.alloc(64, 1),
      destination: Buffer.alloc(64),
      tag: Buffer.alloc(16),
    };
    expect(code(() => other.crypt(op))).toBe('ERR_SOCRYPT_OCF_FOREIGN');
    expect(code(() => device.crypt({ ...op, iv: Buffer.alloc(11) }))).toBe('ERR_SOCRYPT_OCF_IV');
    expect(code(() => device.crypt({ ...op, tag: Buffer.alloc(15) }))).toBe('ERR_SOCRYPT_OCF_RANGE');
    expect(code(() => device.crypt({ ...op, destination: Buffer.alloc(63) }))).toBe('ERR_SOCRYPT_ARGUMENT');
    expect(code(() => device.crypt({ ...op, destination: op.source.subarray(0, 64) }))).toBe(undefined);
    const shared = Buffer.alloc(96);
    expect(
      code(() =>
        device.crypt({ ...op, source: shared.subarray(0, 64), destination: shared.subarray(16, 80) }),
      ),
    ).toBe('ERR_SOCRYPT_OCF_OVERLAP');
    expect(shared.equals(Buffer.alloc(96))).toBe(true);
    expect(op.destination.equals(Buffer.alloc(64))).toBe(true);
    device.closeSession(session);
    expect(code(() => device.crypt(op))).toBe('ERR_SOCRYPT_OCF_CLOSED');
    device.close();
    expect(code(() => device.crypt(op))).toBe('ERR_SOCRYPT_OCF_CLOSED');
  });

  it('refuses what only software could do, unless it may', () => {
    const device = open({});
    expect(code(() => device.openSession({ chain: [{ name: 'aes-128-gcm', key: randomBytes(16) }] }))).toBe(
      'ERR_SOCRYPT_OCF_INVALID',
    );
  });

  it('has several pending', async () => {
    const device = open({ allowSoftware: true, maxPending: 10 });
    const key = randomBytes(16);
    const session = device.openSession({ chain: [{ name: 'aes-128-gcm', key }] });
    const jobs = Array.from({ length: 10 }, (_, i) => ({
      iv: Buffer.alloc(12, i),
      source: randomBytes(100 + i),
      destination: Buffer.alloc(100 + i),
      tag: Buffer.alloc(16),
    }));
    const all = jobs.map((job) => device.submit({ session, kind: 'seal', ...job }));
    await expect(device.submit({ session, kind: 'seal', ...jobs[0]! })).rejects.toMatchObject({
      code: 'ERR_SOCRYPT_OCF_FULL',
    });
    await Promise.all(all);
    for (const { iv, source, destination, tag } of jobs) {
      const cipher = createCipheriv('aes-128-gcm', key, iv);
      expect(destination.equals(Buffer.concat([cipher.update(source), cipher.final()]))).toBe(true);
      expect(tag.equals(cipher.getAuthTag())).toBe(true);
    }
    const [first] = jobs as [(typeof jobs)[0]];
    first.tag[0]! ^= 1;
    await expect(
      device.submit({ session, kind: 'open', ...first, source: first.destination }),
    ).rejects.toMatchObject({ code: 'ERR_SOCRYPT_OCF_BAD_TAG' });
  });

  it('finds drivers by name, and says which it cannot have', () => {
    expect(open().find('hifn0')).toBe(null);
    expect(code(() => new CryptoDevice({ drivers: ['flux'] }))).toBe('ERR_SOCRYPT_DRIVER');
  });
});

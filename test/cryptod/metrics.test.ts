/** What is counted of frameworks that are neither a server's nor a command's: devices and daemons of a program. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Registry } from 'prom-client';
import { afterAll, expect, it } from 'vitest';
import { CryptodClient } from '../../src/cryptod/client.ts';
import { registerCryptodMetrics } from '../../src/cryptod/metrics.ts';
import { CryptoDevice } from '../../src/ocf/crypto-device.ts';
import { registerMetrics } from '../../src/ocf/metrics.ts';
import { until } from '../e2e/support.ts';
import { Place } from './support.ts';

const place = new Place();
afterAll(() => place.remove());

async function value(registry: Registry, metric: string, of: string): Promise<number> {
  const text = await registry.metrics();
  return Number(new RegExp(`^${metric}\\{driver="[^"]*",class="${of}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

it('a device’s operations are counted by class, and stay counted when it is closed', async () => {
  const registry = new Registry();
  const remove = registerMetrics(registry);
  const device = new CryptoDevice({ drivers: ['thread', 'key'], allowSoftware: true });
  const open = () => device.openSession({ chain: [{ name: 'aes-256-gcm', key: randomBytes(32) }] });
  const session = open();
  const op = {
    session,
    kind: 'seal',
    iv: randomBytes(12),
    source: Buffer.alloc(1000),
    tag: Buffer.alloc(16),
  } as const;
  const before = await value(registry, 'socrypt_ocf_ops_total', 'aes-256-gcm');
  device.crypt(op);
  await Promise.all(
    Array.from({ length: 99 }, () =>
      device.submit({ ...op, source: Buffer.alloc(1000), tag: Buffer.alloc(16) }),
    ),
  );
  const { privateKey } = generateKeyPairSync('ed25519');
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' });
  const key = { kind: 'sign', algorithm: 'ed25519', scheme: 0x0807, key: pkcs8 } as const;
  expect(device.key({ ...key, inputs: [Buffer.from('message')], outputLength: 64 })).toHaveLength(64);
  expect(await value(registry, 'socrypt_ocf_ops_total', 'aes-256-gcm')).toBe(before + 100);
  expect(await value(registry, 'socrypt_ocf_bytes_total', 'aes-256-gcm')).toBeGreaterThanOrEqual(100_000);
  expect(await value(registry, 'socrypt_ocf_sessions', 'aes-256-gcm')).toBe(1);
  expect(await value(registry, 'socrypt_ocf_ops_total', 'ed25519')).toBe(1);
  device.close();
  expect(await value(registry, 'socrypt_ocf_ops_total', 'aes-256-gcm')).toBe(before + 100);
  expect(await value(registry, 'socrypt_ocf_sessions', 'aes-256-gcm')).toBe(0);
  remove();
  expect(await registry.metrics()).toBe('\n');
});

it('a daemon of this process is counted too', async () => {
  const registry = new Registry();
  const daemon = place.daemon({ drivers: ['thread'] });
  const remove = registerCryptodMetrics(registry, daemon);
  const client = await CryptodClient.connect({ path: place.socket });
  const session = await client.openSession({ chain: [{ name: 'chacha20-poly1305', key: randomBytes(32) }] });
  const op = { session, kind: 'seal', iv: randomBytes(12), source: 0, length: 100, tag: 200 } as const;
  for (let i = 0; i < 10; ++i) await client.crypt(op);
  const counted = () => value(registry, 'socrypt_ocf_ops_total', 'chacha20-poly1305');
  await until(async () => (await counted()) === 10, 'the daemon to tell of its drivers');
  client.close();
  daemon.stop();
  expect(await counted()).toBe(10);
  expect(await registry.metrics()).toMatch(
    /^socrypt_ocf_drivers\{driver="thread [^"]*",state="running"\} 0$/m,
  );
  remove();
});

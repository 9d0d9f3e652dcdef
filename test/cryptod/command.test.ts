/** `socrypt cryptod --driver NAME` as people run it: it serves, the driver does the work, and /metrics says so. */
import { spawn } from 'node:child_process';
import { createCipheriv, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CryptodClient } from '../../src/cryptod/client.ts';
import { ended, repository, track, until } from '../e2e/support.ts';
import { Place } from './support.ts';

const place = new Place();
afterAll(() => place.remove());

class Daemon {
  readonly #child;
  readonly #ended;
  output = '';
  constructor(args: readonly string[]) {
    const main = join(repository, 'dist/cli/main.js');
    this.#child = track(
      spawn(process.execPath, [main, 'cryptod', '--socket', place.socket, ...args], {
        stdio: ['pipe', 'pipe', 'pipe'],
      }),
    );
    this.#child.stdout.on('data', (chunk) => {
      this.output += chunk;
    });
    this.#ended = ended(this.#child, '');
  }
  /** Resolves when it listens; with what it said when it ended first. */
  async up(): Promise<string> {
    await until(() => this.output.includes('listens\n') || this.#child.exitCode !== null, 'the daemon');
    return this.output.includes('listens\n') ? '' : (await this.#ended).stderr;
  }
  async stop(): Promise<{ code: number | null; stderr: string }> {
    this.#child.kill('SIGTERM');
    return await this.#ended;
  }
  async metrics(): Promise<string> {
    const url = /metrics +(http:\S+)/.exec(this.output)![1]!;
    return await (await fetch(url)).text();
  }
  /** A sample's value; undefined: there is none. */
  async value(pattern: RegExp): Promise<number> {
    return Number(pattern.exec(await this.metrics())?.[1]);
  }
}

const DRIVERS: readonly (readonly [string, RegExp, string])[] = [
  ['thread', /^thread /, 'aes-128-gcm'],
  [`model:${join(repository, 'native/ocf/cards/aes-gcm.json')}`, /^/, 'aes-128-gcm'],
  ['dpdk:crypto_aesni_gcm', /^dpdk:/, 'aes-128-gcm'],
  ['dpdk:crypto_openssl', /^dpdk:/, 'aes-128-cbc'],
];

describe.each(DRIVERS)('socrypt cryptod --driver %s', (driver, named, algorithm) => {
  it('serves', async ({ skip }) => {
    skip(
      driver.startsWith('dpdk') && !existsSync(join(repository, 'build/native/socrypt-dpdk.so')),
      'built without libdpdk-dev',
    );
    // Of this processor or not, it is the driver that is asked for.
    const daemon = new Daemon(['--driver', driver, '--allow-software', '--metrics-port', '0']);
    try {
      const why = await daemon.up();
      const missing = /no DPDK plugin:.*|DPDK has no such crypto device.*/.exec(why);
      skip(missing !== null, missing?.[0]);
      expect(why).toBe('');
      const name = /^ {2}drivers +(.*)$/m.exec(daemon.output)![1]!;
      expect(name).toMatch(named);
      const client = await CryptodClient.connect({ path: place.socket });
      const [key, iv, plain] = [randomBytes(16), randomBytes(16), randomBytes(4096)];
      const aead = algorithm === 'aes-128-gcm';
      const session = await client.openSession({
        chain: [{ name: aead ? 'aes-128-gcm' : 'aes-128-cbc', key }],
      });
      const [ops, length] = [200, plain.length];
      const used = iv.subarray(0, aead ? 12 : 16);
      const at = (i: number) => i * 5120;
      for (let i = 0; i < ops; ++i) client.memory.set(plain, at(i));
      const op = (i: number, kind: 'seal' | 'open' | 'cipher' | 'decipher') =>
        client.crypt({
          session,
          kind,
          iv: used,
          source: at(i),
          length,
          ...(aead && { tag: at(i) + length }),
        });
      const all = Array.from({ length: ops }, (_, i) => i);
      await Promise.all(all.map((i) => op(i, aead ? 'seal' : 'cipher')));
      const cipher = aead
        ? createCipheriv('aes-128-gcm', key, used)
        : createCipheriv('aes-128-cbc', key, used).setAutoPadding(false);
      const wanted = Buffer.concat([cipher.update(plain), cipher.final()]);
      for (const i of all)
        expect(wanted.equals(client.memory.subarray(at(i), at(i) + length)), `op ${i}`).toBe(true);
      await Promise.all(all.map((i) => op(i, aead ? 'open' : 'decipher')));
      for (const i of all)
        expect(plain.equals(client.memory.subarray(at(i), at(i) + length)), `op ${i}`).toBe(true);

      const of = `driver="${name.replaceAll('"', '\\"')}",class="${algorithm}"`.replace(
        /[.*+?()[\]]/g,
        '\\$&',
      );
      const sample = (metric: string) => new RegExp(`^${metric}\\{${of}\\} (\\d+)$`, 'm');
      // The daemon tells of its drivers some times a second.
      await until(
        async () => (await daemon.value(sample('socrypt_ocf_ops_total'))) === 2 * ops,
        'the metrics to count the ops',
      );
      expect(await daemon.value(sample('socrypt_ocf_bytes_total'))).toBe(2 * ops * length);
      expect(await daemon.value(sample('socrypt_ocf_sessions'))).toBe(1);
      expect(await daemon.value(/^socrypt_cryptod_ops_total (\d+)$/m)).toBe(2 * ops);
      expect(await daemon.value(/^socrypt_cryptod_op_bytes_total (\d+)$/m)).toBe(2 * ops * length);
      expect(await daemon.value(/^socrypt_cryptod_connections_active (\d+)$/m)).toBe(1);
      expect(await daemon.value(/^socrypt_cryptod_sessions_total\{result="opened"\} (\d+)$/m)).toBe(1);
      client.close();
      await until(
        async () => (await daemon.value(/^socrypt_cryptod_connections_active (\d+)$/m)) === 0,
        'the connection to go',
      );
    } finally {
      expect((await daemon.stop()).code).toBe(0);
    }
    expect(existsSync(place.socket)).toBe(false);
  });
});

it('says what of its admin listener was not understood', async () => {
  const daemon = new Daemon(['--metrics-port', 'x', '--metrics-host', 'a b']);
  const why = await daemon.up();
  expect(why).toContain('--metrics-port expects a port number from 0 to 65535, or off, but got "x"');
  expect(why).toContain('--metrics-host expects a host name or IP address');
});

describe('socrypt cryptod with a driver on another thread', () => {
  it('answers every op: one that is complete while another kind is asked for waits for nobody', async () => {
    const daemon = new Daemon(['--driver', 'thread', '--allow-software']);
    try {
      expect(await daemon.up()).toBe('');
      const client = await CryptodClient.connect({ path: place.socket });
      const session = await client.openSession({ chain: [{ name: 'aes-128-gcm', key: randomBytes(16) }] });
      const iv = randomBytes(12);
      const length = 4096;
      // Without an answer the test ends by its time limit.
      for (let round = 0; round < 60; ++round) {
        const ops = Array.from({ length: 200 }, (_, i) => i * 5120);
        await Promise.all(
          ops.map((at) => client.crypt({ session, kind: 'seal', iv, source: at, length, tag: at + length })),
        );
      }
      client.close();
    } finally {
      expect((await daemon.stop()).code).toBe(0);
    }
  });
});

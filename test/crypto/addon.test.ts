import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { native } from '../../src/native.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('the addon', () => {
  it("is bound to node's own libcrypto", () => {
    expect(native.crypto.libcryptoVersion()).toBe(process.versions.openssl);
  });

  it('exports its entry points and imports nothing that node would capture', () => {
    const check = spawnSync(
      'bash',
      ['scripts/check-symbols.sh', process.env.SOCRYPT_ADDON ?? 'build/native/socrypt.node'],
      {
        cwd: root,
        encoding: 'utf8',
      },
    );
    expect(check.stdout + check.stderr).toMatch(/^symbols: /m);
    expect(check.status, check.stdout + check.stderr).toBe(0);
  });

  it('works in several workers at once and lets each of them go', async () => {
    const addon = process.env.SOCRYPT_ADDON ?? `${root}build/native/socrypt.node`;
    const source = `
      const { crypto } = require(${JSON.stringify(addon)});
      const { generateKeyPairSync } = require('node:crypto');
      const der = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'der' });
      const key = crypto.importPrivateKey(der);
      for (let i = 0; i < 50; i++) {
        key.sign(0x0403, new Uint8Array(10));
        crypto.aeadSeal(0x1301, new Uint8Array(16), new Uint8Array(12), new Uint8Array(5), new Uint8Array(100));
        crypto.keyShare(0x1d, new Uint8Array(32).fill(9));
      }
    `;
    const ends = Array.from(
      { length: 6 },
      () =>
        new Promise<number>((resolve, reject) => {
          const worker = new Worker(source, { eval: true });
          worker.once('error', reject);
          worker.once('exit', resolve);
        }),
    );
    expect(await Promise.all(ends)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it.each([
    ['libcrypto', /^libcrypto 3\./],
    ['ipsec-mb', /^ipsec-mb 1\./],
  ])('SOCRYPT_SOFT_DRIVER=%s', (wish, name) => {
    const source = `
      const { crypto } = require(process.argv[1]);
      let error = null;
      try { crypto.measureSeal(0x1301, 1024, 10); } catch (caught) { error = caught.code; }
      console.log(JSON.stringify({ name: crypto.softDriverName(), error }));
    `;
    const addon = process.env.SOCRYPT_ADDON ?? `${root}build/native/socrypt.node`;
    const child = spawnSync(process.execPath, ['-e', source, addon], {
      env: { ...process.env, SOCRYPT_SOFT_DRIVER: wish },
      encoding: 'utf8',
    });
    const said = JSON.parse(child.stdout) as { name: string; error: string | null };
    if (wish === 'ipsec-mb' && said.name === '') {
      // Not on this machine: then it is an error to ask for it, and never a silent libcrypto.
      expect(said.error).toBe('ERR_SOCRYPT_DRIVER');
      return;
    }
    expect(said.name).toMatch(name);
    expect(said.error).toBe(null);
  });
});

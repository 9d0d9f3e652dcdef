/** Work on other threads, and whoever asked for it gone. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const addon = process.env.SOCRYPT_ADDON ?? `${root}build/native/socrypt.node`;

/** Begins `count` signatures of a key that takes long, and then does `then`. */
const source = (count: number, then: string) => `
  const { crypto } = require(${JSON.stringify(addon)});
  const { generateKeyPairSync } = require('node:crypto');
  let done = 0;
  const der = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'der' });
  (() => {
    const key = crypto.importPrivateKey(der);
    for (let i = 0; i < ${count}; i++) {
      key.signAsync(0x0804, new Uint8Array(32)).then(() => done++, () => done++);
    }
  })();
  ${then}
`;

describe('Async lifetime (CVE-2024-26583, CVE-2024-26585): signatures on the thread pool', () => {
  test('a worker that is ended meanwhile takes nobody with it', async () => {
    for (let round = 0; round < 4; round++) {
      const worker = new Worker(
        source(60, "require('node:worker_threads').parentPort.postMessage('begun');"),
        { eval: true },
      );
      await new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      await worker.terminate();
    }
  });

  test('a worker that exits by itself meanwhile', async () => {
    const worker = new Worker(source(60, 'process.exit(7);'), { eval: true });
    const code = await new Promise((resolve, reject) => {
      worker.once('exit', resolve);
      worker.once('error', reject);
    });
    expect(code).toBe(7);
  });

  test('a process that exits meanwhile', () => {
    const { status, signal, stderr } = spawnSync(process.execPath, ['-e', source(60, 'process.exit(7);')], {
      encoding: 'utf8',
    });
    expect({ status, signal, stderr }).toEqual({ status: 7, signal: null, stderr: '' });
  });

  test('a key that nobody holds any more is held by its signatures, each of which is made once', () => {
    const then =
      'global.gc(); setTimeout(() => global.gc(), 1); process.on("exit", () => console.log(done));';
    const { stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', '-e', source(40, then)], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(stdout).toBe('40\n');
  });
});

import { execFile, execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type DevelopmentCertificateOptions,
  defaultDirectory,
  ensureDevelopmentCertificate,
  makeDevelopmentCertificate,
} from '../../src/control/development-certificate.ts';
import { Workshop } from '../x509/openssl.ts';

const DAY = 86_400_000;
const run = promisify(execFile);
const shop = new Workshop();
let directory: string;
let turn = 0;
beforeEach(() => {
  directory = shop.path(`data-${turn++}/socrypt`);
});
afterAll(() => shop.remove());

/** For processes that know no TypeScript; within the repository, so that packages are found. */
function compiled(): string {
  const root = join(import.meta.dirname, '../..');
  const out = join(root, 'build/test-development-certificate');
  mkdirSync(out, { recursive: true });
  const config = {
    extends: '../../tsconfig.build.json',
    compilerOptions: { outDir: '.', rootDir: '../../src' },
    include: [],
    files: ['../../src/control/development-certificate.ts'],
  };
  writeFileSync(join(out, 'tsconfig.json'), JSON.stringify(config));
  execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', out]);
  return pathToFileURL(join(out, 'control/development-certificate.js')).href;
}

/** Narrowed to the kept kind. */
function kept(more: DevelopmentCertificateOptions = {}) {
  const made = ensureDevelopmentCertificate({ directory, hostname: 'workbench', ...more });
  if (!('certFile' in made)) throw new Error(`expected files: ${made.reason}`);
  return made;
}

describe('the certificate', () => {
  test('as openssl sees it', () => {
    const { certFile, keyFile } = kept();
    const text = shop.openssl('x509', '-in', certFile, '-noout', '-text').toString();
    expect(text).toMatch(/Public Key Algorithm: id-ecPublicKey[\s\S]*ASN1 OID: prime256v1/);
    expect(text).toMatch(/X509v3 Basic Constraints: critical\s+CA:FALSE/);
    expect(text).toMatch(/X509v3 Key Usage: critical\s+Digital Signature\n/);
    expect(text).toMatch(/X509v3 Extended Key Usage: \s+TLS Web Server Authentication\n/);
    expect(text).toMatch(
      /DNS:localhost, DNS:\*\.localhost, DNS:workbench, IP Address:127\.0\.0\.1, IP Address:0:0:0:0:0:0:0:1/,
    );
    expect(
      shop
        .openssl('verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', certFile, certFile)
        .toString(),
    ).toContain('OK');
    expect(shop.openssl('pkey', '-in', keyFile, '-pubout')).toEqual(
      shop.openssl('x509', '-in', certFile, '-noout', '-pubkey'),
    );
    const { validFrom, validTo } = new X509Certificate(readFileSync(certFile));
    const lifetime = Date.parse(validTo) - Date.parse(validFrom);
    expect(lifetime).toBeLessThan(397 * DAY);
    expect(lifetime).toBeGreaterThan(396 * DAY);
    expect(Date.parse(validFrom)).toBeLessThan(Date.now());
  });

  test('odd host names do no harm', () => {
    for (const hostname of [
      '',
      'MiXed',
      'under_score',
      'a b',
      'bücher',
      '10.0.0.1',
      'x'.repeat(300),
      '*',
      'localhost',
    ]) {
      const { cert } = makeDevelopmentCertificate(hostname, new Date());
      const names = new X509Certificate(cert).subjectAltName!;
      const own =
        hostname === 'MiXed' ? ', DNS:mixed' : hostname === 'under_score' ? ', DNS:under_score' : '';
      expect(names).toBe(
        `DNS:localhost, DNS:*.localhost${own}, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1`,
      );
    }
  });

  describe('with curl', () => {
    let server: Server | undefined;
    afterEach(
      () => new Promise<void>((done) => (server === undefined ? done() : server.close(() => done()))),
    );

    test('--cacert accepts it for its names, and for no other', async () => {
      const { certFile, keyFile } = kept();
      server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (_, response) =>
        response.end('hello'),
      );
      const { port } = await new Promise<AddressInfo>((done) => {
        const listening = server!.listen(0, '127.0.0.1', () => done(listening.address() as AddressInfo));
      });
      const curl = (host: string) =>
        run('curl', [
          '-sS',
          '--noproxy',
          '*',
          '--cacert',
          certFile,
          '--connect-to',
          `::127.0.0.1:${port}`,
          `https://${host}:${port}/`,
        ]);
      for (const host of ['localhost', '127.0.0.1', 'workbench', '[::1]']) {
        expect((await curl(host)).stdout, host).toBe('hello');
      }
      await expect(curl('example.com')).rejects.toThrow(/SSL|subject name/);
    });
  });
});

describe('keeping it', () => {
  test('made once, with closed permissions', () => {
    const first = kept();
    expect(first).toMatchObject({ created: true, reason: 'there was none yet' });
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(dirname(first.keyFile)).mode & 0o777).toBe(0o700);
    expect(statSync(first.keyFile).mode & 0o777).toBe(0o600);
    expect(kept()).toMatchObject({ created: false, certFile: first.certFile, keyFile: first.keyFile });
    expect(readdirSync(directory)).toEqual(['development-1']);
  });

  test('renewed when near its end, and only then', () => {
    const first = kept();
    expect(kept({ now: new Date(Date.now() + 380 * DAY) }).created).toBe(false);
    const second = kept({ now: new Date(Date.now() + 385 * DAY) });
    expect(second).toMatchObject({ created: true, reason: 'the kept one was about to expire' });
    expect(second.certFile).not.toBe(first.certFile);
    expect(readdirSync(directory)).toEqual(['development-2']);
    // The clock went back: what is valid only in a year will not do.
    expect(kept()).toMatchObject({ created: true, reason: 'the kept one was not valid yet' });
  });

  test.each<[string, (files: { certFile: string; keyFile: string }) => void, RegExp]>([
    ['empty key', ({ keyFile }) => truncateSync(keyFile, 0), /could not be read/],
    ['truncated key', ({ keyFile }) => truncateSync(keyFile, 100), /could not be read/],
    ['truncated certificate', ({ certFile }) => truncateSync(certFile, 100), /could not be read/],
    ['missing certificate', ({ certFile }) => rmSync(certFile), /could not be read/],
    [
      'missing both',
      ({ certFile }) => rmSync(dirname(certFile), { recursive: true }) ?? mkdirSync(dirname(certFile)),
      /could not be read/,
    ],
    [
      'key of another',
      ({ keyFile }) => writeFileSync(keyFile, makeDevelopmentCertificate('x', new Date()).key),
      /did not fit/,
    ],
    [
      'open permissions',
      ({ keyFile }) => {
        const key = readFileSync(keyFile);
        rmSync(keyFile);
        writeFileSync(keyFile, key, { mode: 0o644 });
      },
      /other users/,
    ],
    ['garbage', ({ certFile }) => writeFileSync(certFile, Buffer.alloc(5000, 0xff)), /could not be read/],
  ])('damaged (%s): renewed', (_what, damage, reason) => {
    damage(kept());
    const renewed = kept();
    expect(renewed.created).toBe(true);
    expect(renewed.reason).toMatch(reason);
    expect(kept()).toMatchObject({ created: false, certFile: renewed.certFile });
  });

  test('what a dead start left behind goes when old, stays when fresh', () => {
    mkdirSync(join(directory, '.new-dead'), { recursive: true });
    mkdirSync(join(directory, 'development-x'));
    kept();
    expect(readdirSync(directory).toSorted()).toEqual(['.new-dead', 'development-1', 'development-x']);
  });

  test('eight starts at once agree, on the first one and on a renewal', async () => {
    const module = compiled();
    for (const round of [1, 2]) {
      // In processes of their own: threads of vitest would run one after the other.
      const script = `import(${JSON.stringify(module)}).then((m) => {
        const at = ${Date.now() + 1500};
        while (Date.now() < at);
        console.log(JSON.stringify(m.ensureDevelopmentCertificate({ directory: ${JSON.stringify(directory)}, hostname: 'h' })));
      })`;
      const outputs = await Promise.all(
        Array.from({ length: 8 }, () => run(process.execPath, ['-e', script])),
      );
      const results = outputs.map(
        ({ stdout }) => JSON.parse(stdout) as { certFile: string; created: boolean },
      );
      expect(new Set(results.map(({ certFile }) => certFile)).size, JSON.stringify(results)).toBe(1);
      expect(results.filter(({ created }) => created)).toHaveLength(1);
      expect(readdirSync(directory)).toEqual([`development-${round}`]);
      truncateSync(results[0]!.certFile, 10);
    }
  });

  test('a place that cannot be written: in memory, with the reason', () => {
    const occupied = shop.write('occupied', 'a file');
    for (const impossible of [join(occupied, 'socrypt'), occupied, '/proc/socrypt']) {
      const made = ensureDevelopmentCertificate({ directory: impossible, hostname: 'h' });
      if (!('cert' in made)) throw new Error('expected it in memory');
      expect(made.reason).toMatch(/could not be kept in .* \(E[A-Z]+\)/);
      expect(new X509Certificate(made.cert).checkHost('localhost')).toBe('localhost');
    }
    expect(existsSync('/proc/socrypt')).toBe(false);
  });

  test('where it is kept', () => {
    expect(defaultDirectory({ XDG_DATA_HOME: '/data' })).toBe('/data/socrypt');
    expect(defaultDirectory({ XDG_DATA_HOME: 'relative' })).toMatch(/\/\.local\/share\/socrypt$/);
    expect(defaultDirectory({})).toMatch(/^\/.*\/\.local\/share\/socrypt$/);
  });
});

/**
 * Digests, MACs and signatures of the OpenSSL provider, in openssl's commands, by its configuration file; the default provider
 * and node:crypto say what is right, and what the daemon's drivers count says who did it.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { constants, createHash, createHmac, randomBytes, verify } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { native } from '../../src/native.ts';
import { driverInfo } from '../../src/ocf/driver-info.ts';
import { freePort, repository, until } from '../e2e/support.ts';
import { opensslConfiguration, Place } from './support.ts';

const module = join(repository, 'build/native/socrypt-provider.so');
const reason = (() => {
  if (!existsSync(module)) return 'socrypt-provider.so is not built: libssl-dev';
  try {
    return execFileSync('openssl', ['version'], { encoding: 'utf8' }).startsWith('OpenSSL 3')
      ? ''
      : 'no OpenSSL 3';
  } catch {
    return 'no openssl on the path';
  }
})();
const run = promisify(execFile);

let place: Place;
const file = (name: string) => join(place.directory, name);
const children: ChildProcess[] = [];

function configure(name: string, socket: string, digestMinBytes: number | null): void {
  const least = digestMinBytes === null ? '' : `digest-min-bytes = ${digestMinBytes}\n`;
  writeFileSync(file(name), opensslConfiguration(module, socket, least));
}

beforeAll(() => {
  place = new Place();
  if (reason !== '') return;
  place.daemon({ drivers: ['soft', 'key'] });
  configure('ours.cnf', place.socket, 0);
  configure('usual.cnf', place.socket, null);
  configure('nobody.cnf', '/nonexistent/socket', 0);
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { cwd: place.directory, stdio: 'ignore' });
  openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', 'rsa.pem');
  openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', 'p256.pem');
  openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384', '-out', 'p384.pem');
  for (const name of ['rsa', 'p256', 'p384']) {
    openssl('pkey', '-in', `${name}.pem`, '-pubout', '-out', `${name}.pub`);
    openssl(
      'req',
      '-x509',
      '-new',
      '-key',
      `${name}.pem`,
      '-subj',
      '/CN=localhost',
      '-days',
      '2',
      '-out',
      `${name}.crt`,
    );
  }
});
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  place.remove();
});

const openssl = async (configuration: string, ...args: string[]): Promise<string> => {
  const env = { PATH: process.env.PATH, OPENSSL_CONF: file(configuration) };
  return (await run('openssl', args, { env, cwd: place.directory, encoding: 'latin1' })).stdout;
};
/** Operations of a class that the daemon's drivers did, over all. */
const did = (name: string): number =>
  native.ocf
    .reports()
    .map(driverInfo)
    .flatMap(({ offers }) => offers.filter((offer) => offer.algorithm === name && offer.mac === null))
    .reduce((sum, { ops }) => sum + ops, 0);
/** That so many more of them are done by `action`. */
async function by<T>(name: string, more: number, action: () => Promise<T>): Promise<T> {
  const before = did(name);
  const result = await action();
  await until(() => did(name) >= before + more, `${more} operations of ${name}`);
  return result;
}

/** An op takes 256 KiB at most. */
const SIZES = [0, 1, 65, 4096, 262_144, 262_145, 700_000];
const PIECE = 262_144;

describe.skipIf(reason !== '')(`digests, MACs and keys of the provider (skipped: ${reason})`, () => {
  it.each(['sha1', 'sha256', 'sha384', 'sha512'] as const)('openssl dgst -%s', async (hash) => {
    for (const size of SIZES) {
      const data = randomBytes(size);
      writeFileSync(file('data'), data);
      const digest = () => openssl('ours.cnf', 'dgst', `-${hash}`, '-r', 'data');
      const said = size <= PIECE ? await by(hash, 1, digest) : await digest();
      expect(said.split(' ')[0], `${size} bytes`).toBe(createHash(hash).update(data).digest('hex'));
    }
  });

  it('openssl mac, with keys of all lengths and hashes that only software has', async () => {
    for (const [hash, keyBytes, size] of [
      ['sha256', 32, 100],
      ['sha1', 1, 4096],
      ['sha384', 200, 262_144],
      ['sha512', 64, 300_000],
      ['sha256', 1500, 10],
      ['sha224', 20, 10],
    ] as const) {
      const [data, key] = [randomBytes(size), randomBytes(keyBytes)];
      writeFileSync(file('data'), data);
      const args = [
        'mac',
        '-digest',
        hash,
        '-macopt',
        `hexkey:${key.toString('hex')}`,
        '-in',
        'data',
        'HMAC',
      ];
      const ours = size <= PIECE && keyBytes <= 1024 && hash !== 'sha224';
      const mac = () => openssl('ours.cnf', ...args);
      const said = ours ? await by(`hmac-${hash}`, 1, mac) : await mac();
      expect(said.trim().toLowerCase()).toBe(createHmac(hash, key).update(data).digest('hex'));
    }
  });

  it('openssl speed -evp sha256: what is long enough is the daemon’s, what is shorter is not sent', async () => {
    const speed = (bytes: string) =>
      openssl('usual.cnf', 'speed', '-seconds', '1', '-bytes', bytes, '-evp', 'sha256');
    // The daemon tells of its drivers some times a second.
    const told = () => new Promise((resolve) => setTimeout(resolve, 150));
    await told();
    const before = did('sha256');
    await speed('1024');
    await told();
    expect(did('sha256') - before).toBe(0);
    await by('sha256', 200, () => speed('16384'));
  });

  const signatures = [
    ['rsa', 'sha256', [], {}],
    ['rsa', 'sha512', [], {}],
    ['rsa', 'sha256', ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest'], { pss: 32 }],
    ['rsa', 'sha384', ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:48'], { pss: 48 }],
    ['p256', 'sha256', [], {}],
    ['p384', 'sha384', [], {}],
  ] as const;
  const classOf = { rsa: 'rsa', p256: 'ecdsa-p256', p384: 'ecdsa-p384' } as const;
  const verifies = (key: string, hash: string, message: Buffer, pss?: number) =>
    verify(
      hash,
      message,
      pss === undefined
        ? readFileSync(file(`${key}.pub`), 'utf8')
        : {
            key: readFileSync(file(`${key}.pub`), 'utf8'),
            padding: constants.RSA_PKCS1_PSS_PADDING,
            saltLength: pss,
          },
      readFileSync(file('signature')),
    );
  it.each(signatures)(
    'openssl dgst -sign, %s with %s %s',
    async (key, hash, options, { pss }: { pss?: number }) => {
      const message = randomBytes(10_000);
      writeFileSync(file('message'), message);
      const sign = (configuration: string) =>
        openssl(
          configuration,
          'dgst',
          `-${hash}`,
          ...options,
          '-sign',
          `${key}.pem`,
          '-out',
          'signature',
          'message',
        );
      await by(classOf[key], 1, () => sign('ours.cnf'));
      expect(verifies(key, hash, message, pss)).toBe(true);
      const check = [
        'dgst',
        `-${hash}`,
        ...options,
        '-verify',
        `${key}.pub`,
        '-signature',
        'signature',
        'message',
      ];
      expect(await openssl('ours.cnf', ...check)).toContain('Verified OK');
      // Nobody there: the default provider's software signs.
      await sign('nobody.cnf');
      expect(verifies(key, hash, message, pss)).toBe(true);
    },
  );

  it('what the daemon does not sign, software does: other schemes, other curves, long messages', async () => {
    const [short, long] = [randomBytes(100), randomBytes(400_000)];
    writeFileSync(file('short'), short);
    writeFileSync(file('long'), long);
    const sign = (key: string, hash: string, message: string, ...options: string[]) =>
      openssl('ours.cnf', 'dgst', `-${hash}`, ...options, '-sign', key, '-out', 'signature', message);
    const before = did('rsa');
    await sign('rsa.pem', 'sha1', 'short');
    expect(verifies('rsa', 'sha1', short)).toBe(true);
    await sign(
      'rsa.pem',
      'sha256',
      'short',
      '-sigopt',
      'rsa_padding_mode:pss',
      '-sigopt',
      'rsa_pss_saltlen:20',
    );
    expect(verifies('rsa', 'sha256', short, 20)).toBe(true);
    await sign('rsa.pem', 'sha256', 'long');
    expect(verifies('rsa', 'sha256', long)).toBe(true);
    expect(did('rsa')).toBe(before);
    await sign('p384.pem', 'sha512', 'short');
    expect(verifies('p384', 'sha512', short)).toBe(true);
    await openssl(
      'ours.cnf',
      'genpkey',
      '-algorithm',
      'EC',
      '-pkeyopt',
      'ec_paramgen_curve:P-521',
      '-out',
      'p521.pem',
    );
    await openssl('ours.cnf', 'pkey', '-in', 'p521.pem', '-pubout', '-out', 'p521.pub');
    await sign('p521.pem', 'sha256', 'short');
    expect(verifies('p521', 'sha256', short)).toBe(true);
  });

  it('keys are made, checked, written and used for everything else', async () => {
    await openssl(
      'ours.cnf',
      'genpkey',
      '-algorithm',
      'RSA',
      '-pkeyopt',
      'rsa_keygen_bits:2048',
      '-out',
      'made.pem',
    );
    const checked = ['pkey', '-in', 'made.pem', '-check', '-noout'];
    expect(await openssl('ours.cnf', ...checked)).toContain('Key is valid');
    expect(await openssl('nobody.cnf', ...checked)).toContain('Key is valid');
    expect(await openssl('ours.cnf', 'pkey', '-in', 'p256.pem', '-text', '-noout')).toContain('prime256v1');
    writeFileSync(file('secret'), randomBytes(100));
    const crypt = ['pkeyutl', '-inkey', 'rsa.pem'];
    await openssl('ours.cnf', ...crypt, '-encrypt', '-in', 'secret', '-out', 'encrypted');
    await openssl('nobody.cnf', ...crypt, '-decrypt', '-in', 'encrypted', '-out', 'decrypted');
    expect(readFileSync(file('decrypted'))).toEqual(readFileSync(file('secret')));
    const derive = ['pkeyutl', '-derive', '-inkey', 'p256.pem', '-peerkey', 'p256.pub', '-out'];
    await openssl('ours.cnf', ...derive, 'one');
    await openssl('nobody.cnf', ...derive, 'two');
    expect(readFileSync(file('one'))).toEqual(readFileSync(file('two')));
    writeFileSync(file('hash'), randomBytes(32));
    for (const key of ['rsa.pem', 'p256.pem']) {
      const options = [
        '-inkey',
        key,
        '-in',
        'hash',
        ...(key === 'rsa.pem' ? ['-pkeyopt', 'digest:sha256'] : []),
      ];
      await openssl('ours.cnf', 'pkeyutl', '-sign', ...options, '-out', 'signature');
      const said = await openssl('ours.cnf', 'pkeyutl', '-verify', ...options, '-sigfile', 'signature');
      expect(said).toContain('Signature Verified Successfully');
    }
    await openssl(
      'ours.cnf',
      'req',
      '-x509',
      '-new',
      '-key',
      'made.pem',
      '-subj',
      '/CN=x',
      '-days',
      '2',
      '-out',
      'made.crt',
    );
    expect(await openssl('nobody.cnf', 'verify', '-CAfile', 'made.crt', 'made.crt')).toContain(
      'made.crt: OK',
    );
  });

  it.each([
    ['rsa', { minVersion: 'TLSv1.3', ecdhCurve: 'X25519' }],
    ['rsa', { minVersion: 'TLSv1.3', ecdhCurve: 'P-256' }],
    ['rsa', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256', ecdhCurve: 'P-384' }],
    ['p256', { minVersion: 'TLSv1.3', ecdhCurve: 'P-256' }],
  ] as const)(
    'openssl s_server with a certificate of %s: its signature is the daemon’s, %o',
    async (key, options) => {
      const port = await freePort();
      const args = [
        's_server',
        '-cert',
        `${key}.crt`,
        '-key',
        `${key}.pem`,
        '-accept',
        `127.0.0.1:${port}`,
        '-www',
      ];
      const server = spawn('openssl', args, {
        env: { PATH: process.env.PATH, OPENSSL_CONF: file('usual.cnf') },
        cwd: place.directory,
        stdio: 'ignore',
      });
      children.push(server);
      const listens = () =>
        new Promise<boolean>((done) => {
          const socket = createConnection(port, '127.0.0.1', () => {
            socket.destroy();
            done(true);
          });
          socket.once('error', () => done(false));
        });
      await until(listens, 'openssl s_server to listen');
      const page = await by(
        classOf[key],
        1,
        () =>
          new Promise<string>((done, failed) => {
            let said = '';
            const ca = readFileSync(file(`${key}.crt`));
            const to: ConnectionOptions = {
              port,
              host: '127.0.0.1',
              servername: 'localhost',
              ca,
              ...options,
            };
            const socket = connectTls(to, () => socket.write('GET / HTTP/1.0\r\n\r\n'));
            socket.setEncoding('latin1').on('data', (part) => {
              said += part;
            });
            socket.on('error', failed).on('close', () => done(said));
          }),
      );
      expect(page).toContain('HTTP/1.0 200 ok');
      server.kill('SIGKILL');
    },
  );
});

/** Certificates through the whole server, as openssl's client sees them: staples, and which of several a client gets. */
import { X509Certificate } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ServeOptions, Server } from '../../src/index.ts';
import { ocspResponse, sctList, timestamp } from '../support/staples.ts';
import { CA, Workshop } from '../x509/openssl.ts';
import { type Credentials, issue, run, Site, start } from './support.ts';

const site = new Site({ 'small.txt': 'small\n' });
const shop = new Workshop();
let credentials: Credentials;
const servers: Server[] = [];

beforeAll(() => {
  credentials = issue(site.directory);
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0);
});
afterAll(() => {
  shop.remove();
  site.remove();
});

async function open(options: ServeOptions): Promise<Server> {
  const server = await start(site, credentials, { workers: 1, ...options });
  servers.push(server);
  return server;
}

/** What `openssl s_client` says of a handshake; the connection ends with its input. */
async function client({ address }: Server, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await run(
    'openssl',
    ['s_client', '-connect', `127.0.0.1:${address.port}`, '-CAfile', credentials.ca, ...args],
    '',
  );
  return `${stdout}${stderr}`;
}

const VERSIONS = [['-tls1_2'], ['-tls1_3']];

describe('staples', () => {
  const file = (name: string, content: Uint8Array) => {
    writeFileSync(site.path(name), content);
    return site.path(name);
  };
  const answer = (cert: string, minutes = 60) =>
    ocspResponse({
      directory: site.directory,
      ca: credentials.ca,
      caKey: credentials.ca.replace('.pem', '.key'),
      cert,
      state: 'V',
      minutes,
    });

  test.each(VERSIONS)('s_client %s -status takes the response', async (version) => {
    const { rsa } = credentials;
    // The second certificate has one, the first has none.
    const server = await open({ ocsp: ['-', file('rsa.ocsp', answer(rsa.cert))] });
    const forRsa = [
      version!,
      '-sigalgs',
      'rsa_pss_rsae_sha256:RSA+SHA256',
      '-status',
      '-servername',
      'localhost',
    ];
    const said = await client(server, ...forRsa);
    expect(said).toMatch(/OCSP Response Status: successful/);
    expect(said).toMatch(/Cert Status: good/);
    const { serialNumber } = new X509Certificate(readFileSync(rsa.cert));
    expect(said.replaceAll(/\s/g, '')).toContain(`SerialNumber:${serialNumber}`);
    // Who does not ask does not get it.
    expect(await client(server, ...forRsa.filter((word) => word !== '-status'))).not.toMatch(
      /OCSP Response Data/,
    );
    expect(await client(server, version!, '-status')).toMatch(/OCSP response: no response sent/);
  });

  test.each(VERSIONS)('s_client %s -ct gets the timestamps', async (version) => {
    const timestamps = [timestamp(), timestamp()];
    const server = await open({ sct: file('ecdsa.sct', sctList(...timestamps)) });
    const logs = file('logs.cnf', Buffer.from('enabled_logs=\n'));
    const said = (await client(server, version!, '-ct', '-ctlogfile', logs)).replaceAll(/[\s:]/g, '');
    expect(said).toMatch(/SCTspresent\(2\)/);
    // The log's id comes after the version.
    for (const one of timestamps) expect(said).toContain(one.toString('hex', 1, 17).toUpperCase());
    expect(await client(server, version!)).not.toMatch(/SCTs present/);
  });

  test.each([[0], [1]])(
    'are read again on a reload, with %i control workers, or stay',
    async (controlWorkers) => {
      const { cert } = credentials.ecdsa;
      const path = file('ecdsa.ocsp', answer(cert));
      const server = await open({ ocsp: path, controlWorkers });
      const produced = async () =>
        /This Update: (.*)\n\s+Next Update: (.*)/
          .exec(await client(server, '-status'))
          ?.slice(1)
          .join();
      const first = await produced();
      expect(first).toBeDefined();
      file('ecdsa.ocsp', answer(cert, 120));
      await server.reload();
      const second = await produced();
      expect(second).toBeDefined();
      expect(second).not.toBe(first);
      appendFileSync(path, 'more');
      await expect(server.reload()).rejects.toMatchObject({ code: 'ERR_SOCRYPT_OCSP_INVALID' });
      expect(await produced()).toBe(second);
    },
  );

  test('one for each certificate at most', async () => {
    const path = file('ecdsa.ocsp', answer(credentials.ecdsa.cert));
    await expect(open({ ocsp: [path, '-', '-'] })).rejects.toThrow(/--ocsp.*3 for 2/);
    await expect(open({ cert: [], key: [], sct: path })).rejects.toThrow(/--sct.*1 for 0/);
    await expect(open({ ocsp: ['-', path] })).rejects.toMatchObject({ code: 'ERR_SOCRYPT_OCSP_MISMATCH' });
    await expect(open({ ocsp: site.path('none.ocsp') })).rejects.toThrow(/--ocsp.*ENOENT/);
  });
});

describe('several certificates for one name', () => {
  const KINDS = {
    p256: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
    p384: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
    rsa: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
    ed25519: ['-algorithm', 'ED25519'],
  };
  type Kind = keyof typeof KINDS;
  let all: ServeOptions;
  const serverOf = (...kinds: Kind[]) => ({
    cert: kinds.map((kind) => shop.path(`${kind}.pem`)),
    key: kinds.map((kind) => shop.path(`${kind}.key`)),
  });
  const chosen = async (server: Server, ...args: string[]) =>
    /subject=.*?CN ?= ?(\w+)/.exec(await client(server, ...args, '-servername', 'one.test'))?.[1];

  beforeAll(() => {
    for (const [kind, algorithm] of Object.entries(KINDS)) {
      shop.key(kind, ...algorithm);
      shop.certificate(kind, { extensions: ['subjectAltName=DNS:one.test'] });
    }
    all = serverOf('rsa', 'ed25519', 'p384', 'p256');
  });

  // For the key alone; the chains are self-signed, and may be signed in any way.
  test.each<[string, string, Kind | undefined]>([
    ['-tls1_3', 'ecdsa_secp256r1_sha256', 'p256'],
    ['-tls1_3', 'ecdsa_secp384r1_sha384', 'p384'],
    ['-tls1_3', 'ed25519', 'ed25519'],
    ['-tls1_3', 'rsa_pss_rsae_sha256', 'rsa'],
    ['-tls1_3', 'rsa_pss_rsae_sha512', 'rsa'],
    // RFC 8446 4.2.3: PKCS#1 v1.5 is for certificates alone.
    ['-tls1_3', 'RSA+SHA256', undefined],
    ['-tls1_3', 'ed25519:rsa_pss_rsae_sha256', 'ed25519'],
    ['-tls1_3', 'rsa_pss_rsae_sha256:ecdsa_secp384r1_sha384', 'p384'],
    ['-tls1_2', 'ed25519', 'ed25519'],
    ['-tls1_2', 'rsa_pss_rsae_sha384', 'rsa'],
    ['-tls1_2', 'RSA+SHA256', 'rsa'],
    ['-tls1_2', 'RSA+SHA512', 'rsa'],
  ])('a client of %s with %s alone gets %s', async (version, sigalgs, kind) => {
    const server = await open(all);
    expect(await chosen(server, version, '-sigalgs', sigalgs)).toBe(kind);
  });

  // In TLS 1.2 a scheme names a hash, and supported_groups the curves.
  test.each<[string, string, Kind | undefined]>([
    ['ECDSA+SHA256', 'P-256', 'p256'],
    ['ECDSA+SHA256', 'P-384', 'p384'],
    ['ECDSA+SHA384', 'P-256', 'p256'],
    ['ECDSA+SHA384', 'P-384:P-256', 'p384'],
    ['ECDSA+SHA384', 'X25519', undefined],
    ['ECDSA+SHA256:RSA+SHA256', 'X25519', 'rsa'],
  ])('a client of TLS 1.2 with %s and the curves %s gets %s', async (sigalgs, curves, kind) => {
    const server = await open(all);
    expect(await chosen(server, '-tls1_2', '-sigalgs', sigalgs, '-curves', curves)).toBe(kind);
  });

  test.each<[string, Kind]>([
    ['ECDHE-RSA-AES128-GCM-SHA256', 'rsa'],
    ['ECDHE-ECDSA-AES128-GCM-SHA256', 'p384'],
  ])('a client of TLS 1.2 with %s alone gets %s', async (cipher, kind) => {
    const server = await open(all);
    expect(await chosen(server, '-tls1_2', '-cipher', cipher)).toBe(kind);
  });

  test.each(VERSIONS)('the order in which they were given decides among equals: %s', async (version) => {
    expect(await chosen(await open(serverOf('rsa', 'p384', 'p256')), version!)).toBe('p384');
    expect(await chosen(await open(serverOf('rsa', 'p256', 'p384')), version!)).toBe('p256');
  });

  test('in control workers, too', async () => {
    const server = await open({ ...all, controlWorkers: 1 });
    expect(await chosen(server, '-tls1_3', '-sigalgs', 'ed25519')).toBe('ed25519');
    expect(await chosen(server, '-tls1_2', '-sigalgs', 'RSA+SHA256')).toBe('rsa');
  });

  test('a chain that the client can verify goes before one that it cannot, which it gets all the same', async () => {
    shop.key('ca-rsa', ...KINDS.rsa);
    shop.certificate('ca-rsa', { extensions: CA });
    const extensions = ['subjectAltName=DNS:one.test'];
    shop.key('crossed', ...KINDS.p256);
    shop.certificate('crossed', { issuer: 'ca-rsa', extensions });
    const pair = (name: string) => ({ cert: shop.path(`${name}.pem`), key: shop.path(`${name}.key`) });
    const pairs = [pair('crossed'), pair('p384')];
    const server = await open({ cert: pairs.map(({ cert }) => cert), key: pairs.map(({ key }) => key) });
    const ecdsa = 'ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384';
    expect(await chosen(server, '-tls1_3', '-sigalgs', `${ecdsa}:RSA+SHA256`)).toBe('crossed');
    expect(await chosen(server, '-tls1_3', '-sigalgs', ecdsa)).toBe('p384');
    expect(await chosen(server, '-tls1_3', '-sigalgs', 'ecdsa_secp256r1_sha256')).toBe('crossed');
  });

  test('an authority that the client names decides between two', async () => {
    for (const name of ['one', 'two']) {
      shop.key(`ca-${name}`, ...KINDS.p256);
      shop.certificate(`ca-${name}`, { extensions: CA });
      shop.key(`by${name}`, ...KINDS.p256);
      shop.certificate(`by${name}`, { issuer: `ca-${name}`, extensions: ['subjectAltName=DNS:one.test'] });
    }
    const server = await open({
      cert: ['byone', 'bytwo'].map((name) => shop.path(`${name}.pem`)),
      key: ['byone', 'bytwo'].map((name) => shop.path(`${name}.key`)),
    });
    expect(await chosen(server)).toBe('byone');
    expect(await chosen(server, '-requestCAfile', shop.path('ca-two.pem'))).toBe('bytwo');
    expect(await chosen(server, '-requestCAfile', shop.path('rsa.pem'))).toBe('byone');
  });
});

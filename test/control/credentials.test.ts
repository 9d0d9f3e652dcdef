import { execFile, execFileSync } from 'node:child_process';
import { createPrivateKey, sign, X509Certificate } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Credential,
  type CredentialOptions,
  CredentialStore,
  type KeyImporter,
  loadCredential,
  schemesOf,
} from '../../src/control/credentials.ts';
import { asn1Time, CA, codeOf, Workshop } from '../x509/openssl.ts';

/** The native key's place is taken by node:crypto. */
const crypto: KeyImporter = {
  importPrivateKey(pkcs8) {
    const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
    return {
      sign(scheme, data) {
        const hash = { 1027: 'sha256', 1283: 'sha384', 2052: 'sha256', 2053: 'sha384', 2054: 'sha512' }[
          scheme
        ];
        if (key.asymmetricKeyType === 'rsa') return sign(hash, data, { key, padding: 6, saltLength: -1 });
        return sign(hash ?? null, data, key);
      },
    };
  },
};
const options: CredentialOptions = { crypto };
const EC = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const RSA = ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'];

const shop = new Workshop();
const load = (name: string, more: Partial<CredentialOptions> = {}): Credential =>
  loadCredential(
    { certFile: shop.path(`${name}.pem`), keyFile: shop.path(`${name}.key`) },
    { ...options, ...more },
  );

/** A credential for these names, all of one key per type. */
function credential(type: 'ec' | 'rsa' | 'ed', ...names: string[]): Credential {
  const name = `sel-${type}`;
  const sans = names.map((dns) => `DNS:${dns}`).join(',');
  shop.certificate(name, { extensions: names.length > 0 ? [`subjectAltName=${sans}`] : [] });
  return load(name);
}

beforeAll(() => {
  for (const name of ['root', 'middle', 'leaf', 'other', 'sel-ec']) shop.key(name, ...EC);
  shop.key('sel-rsa', ...RSA);
  shop.key('sel-ed', '-algorithm', 'ED25519');
  shop.key('p384', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384');
  shop.certificate('root', { extensions: CA });
  shop.certificate('middle', { issuer: 'root', extensions: CA });
  shop.certificate('leaf', {
    issuer: 'middle',
    extensions: [
      'subjectAltName=DNS:Example.COM,DNS:*.example.com,IP:127.0.0.1,IP:2001:db8::1',
      'extendedKeyUsage=serverAuth',
    ],
  });
  shop.certificate('other');
  shop.certificate('p384');
});
afterAll(() => shop.remove());

describe('loadCredential', () => {
  const source = (...names: string[]) => ({
    cert: Buffer.concat(names.map((name) => shop.read(`${name}.pem`))),
    key: Buffer.from(shop.read('leaf.key')).toString(),
  });

  test('chain, names, schemes, times', () => {
    const loaded = loadCredential(source('leaf', 'middle'), options);
    expect(loaded.chain.map((der) => new X509Certificate(der).subject)).toEqual(['CN=leaf', 'CN=middle']);
    expect(loaded.names).toEqual(['example.com', '*.example.com']);
    expect(loaded.ipAddresses).toEqual(['127.0.0.1', '2001:db8::1']);
    expect(loaded.schemes).toEqual([0x0403]);
    expect(loaded.notAfter.getTime()).toBe(Date.parse(new X509Certificate(loaded.chain[0]!).validTo));
    expect(loaded.warnings).toEqual([]);
    expect(Object.isFrozen(loaded)).toBe(true);
  });

  test.each([
    ['sel-ec', [0x0403, 0x0503]],
    ['p384', [0x0503, 0x0403]],
    ['sel-ed', [0x0807]],
    ['sel-rsa', [0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601]],
  ])('%s has the schemes of TLS 1.2, and is chosen by them there', (name, schemes) => {
    shop.certificate(name);
    const loaded = load(name);
    expect(loaded.schemes12).toEqual(schemes);
    const store = new CredentialStore([loaded]);
    const last = [schemes.at(-1)!];
    expect(store.select({ serverName: undefined, signatureSchemes: last, version: 0x0303 })).toBe(loaded);
    for (const scheme of schemes) expect(loaded.sign(scheme, Buffer.from('data')).length).toBeGreaterThan(0);
    if (schemes.length > 1)
      expect(store.select({ serverName: undefined, signatureSchemes: last })).toBeUndefined();
  });

  test.each([
    ['sel-ec', [0x0403]],
    ['p384', [0x0503]],
    ['sel-ed', [0x0807]],
    ['sel-rsa', [0x0804, 0x0805, 0x0806]],
  ])('%s signs with each of its schemes, as openssl verifies', (name, schemes) => {
    shop.certificate(name);
    const loaded = load(name);
    expect(loaded.schemes).toEqual(schemes);
    expect(schemesOf(loaded.key)).toEqual(schemes);
    shop.openssl('x509', '-in', `${name}.pem`, '-noout', '-pubkey', '-out', 'pub.pem');
    for (const scheme of schemes) {
      shop.write('data', 'to be signed');
      shop.write('sig', loaded.sign(scheme, Buffer.from('to be signed')));
      const hash =
        { 4: 'sha256', 5: 'sha384', 6: 'sha512' }[scheme & 0xff] ?? (scheme === 0x0503 ? 'sha384' : 'sha256');
      const how =
        name === 'sel-ed'
          ? ['-rawin']
          : [
              ...['-rawin', '-digest', hash],
              ...(name === 'sel-rsa' ? ['-pkeyopt', 'rsa_padding_mode:pss'] : []),
            ];
      const said = shop.openssl(
        'pkeyutl',
        '-verify',
        '-pubin',
        '-inkey',
        'pub.pem',
        '-sigfile',
        'sig',
        '-in',
        'data',
        ...how,
      );
      expect(said.toString()).toContain('Verified Successfully');
    }
  });

  test('the leaf is the one with the key, wherever it stands', () => {
    const loaded = loadCredential(source('root', 'middle', 'leaf'), options);
    expect(loaded.chain.map((der) => new X509Certificate(der).subject)).toEqual(['CN=leaf', 'CN=middle']);
    expect(loaded.warnings.map(({ code }) => code)).toEqual(Array(2).fill('ERR_SOCRYPT_CERTIFICATE_CHAIN'));
  });

  test('certificate and key in one file, and DER', () => {
    shop.write('both.pem', Buffer.concat([shop.read('leaf.key'), shop.read('leaf.pem')]));
    expect(
      loadCredential({ certFile: shop.path('both.pem'), keyFile: shop.path('both.pem') }, options).chain,
    ).toHaveLength(1);
    shop.openssl('pkey', '-in', 'leaf.key', '-outform', 'DER', '-out', 'leaf.key.der');
    const der = { cert: shop.der('leaf.pem'), key: shop.read('leaf.key.der') };
    expect(loadCredential(der, options).names).toContain('example.com');
  });

  test('a key of the right curve, of another type, and certificates interchanged with keys', () => {
    const mixed = (cert: string, key: string) =>
      codeOf(() => loadCredential({ certFile: shop.path(cert), keyFile: shop.path(key) }, options));
    expect(mixed('leaf.pem', 'other.key')).toBe('ERR_SOCRYPT_KEY_MISMATCH');
    expect(mixed('leaf.pem', 'sel-rsa.key')).toBe('ERR_SOCRYPT_KEY_MISMATCH');
    expect(mixed('leaf.pem', 'leaf.pem')).toBe('ERR_SOCRYPT_KEY_MISSING');
    expect(mixed('leaf.key', 'leaf.key')).toBe('ERR_SOCRYPT_CERTIFICATE_MISSING');
  });

  test('a signer that signs wrongly is found at once', () => {
    const wrong: KeyImporter = { importPrivateKey: () => ({ sign: () => new Uint8Array(64) }) };
    expect(codeOf(() => load('other', { crypto: wrong }))).toBe('ERR_SOCRYPT_KEY_MISMATCH');
  });

  test('the PKCS#8 is zeroised after use', () => {
    let seen = new Uint8Array();
    const watching: KeyImporter = {
      importPrivateKey(pkcs8) {
        seen = pkcs8 as Uint8Array<ArrayBuffer>;
        return crypto.importPrivateKey(pkcs8);
      },
    };
    load('other', { crypto: watching });
    expect(seen.length).toBeGreaterThan(100);
    expect(seen.every((octet) => octet === 0)).toBe(true);
  });

  test('expired, not yet valid, soon to expire', () => {
    const day = 86_400_000;
    shop.certificate('other', { from: asn1Time(Date.now() - 9 * day), to: asn1Time(Date.now() - day) });
    expect(codeOf(() => load('other'))).toBe('ERR_SOCRYPT_CERTIFICATE_EXPIRED');
    expect(load('other', { allowExpired: true }).warnings.map(({ code }) => code)).toEqual([
      'ERR_SOCRYPT_CERTIFICATE_EXPIRED',
    ]);
    expect(load('other', { now: new Date(Date.now() - 2 * day) }).warnings[0]!.code).toBe(
      'ERR_SOCRYPT_CERTIFICATE_EXPIRES_SOON',
    );
    shop.certificate('other', { from: asn1Time(Date.now() + day) });
    expect(codeOf(() => load('other'))).toBe('ERR_SOCRYPT_CERTIFICATE_NOT_YET_VALID');
    shop.certificate('other', { to: asn1Time(Date.now() + 13 * day) });
    expect(load('other').warnings[0]!.message).toMatch(/expires in 1[23] day/);
    shop.certificate('other', { to: asn1Time(Date.now() + 15 * day) });
    expect(load('other').warnings).toEqual([]);
  });

  test('what clients will hold against it is said', () => {
    shop.certificate('other', {
      extensions: [
        'subjectAltName=DNS:x,DNS:a*.x,DNS:*',
        'extendedKeyUsage=clientAuth',
        'keyUsage=keyAgreement',
      ],
    });
    const messages = load('other')
      .warnings.map(({ message }) => message)
      .join('\n');
    expect(messages).toMatch(/serverAuth/);
    expect(messages).toMatch(/digitalSignature/);
    expect(messages).toMatch(/no host: a\*\.x, \*/);
    shop.certificate('other', { extensions: [] });
    expect(load('other').warnings[0]!.message).toMatch(/subjectAltName/);
  });

  test('files that cannot be read: one message each, with the path', () => {
    const good = shop.path('leaf.key');
    mkdirSync(shop.path('folder'));
    const cases: [string, string, RegExp][] = [
      [shop.path('absent'), 'ERR_SOCRYPT_FILE_UNREADABLE', /there is none \(ENOENT\)/],
      [shop.path('folder'), 'ERR_SOCRYPT_FILE_UNREADABLE', /a directory \(EISDIR\)/],
      [shop.path('leaf.key/x'), 'ERR_SOCRYPT_FILE_UNREADABLE', /no directory \(ENOTDIR\)/],
      ['/dev/zero', 'ERR_SOCRYPT_FILE_TOO_LARGE', /1048576/],
      [shop.write('huge', Buffer.alloc(1024 * 1024 + 1, 'A')), 'ERR_SOCRYPT_FILE_TOO_LARGE', /1048576/],
      [shop.write('empty', ''), 'ERR_SOCRYPT_CERTIFICATE_MISSING', /neither PEM nor DER/],
    ];
    for (const [certFile, code, message] of cases) {
      const attempt = () => loadCredential({ certFile, keyFile: good }, options);
      expect(codeOf(attempt)).toBe(code);
      expect(attempt).toThrow(message);
      expect(attempt).toThrow(`certificate file ${certFile}: expected`);
    }
    if (process.getuid?.() !== 0) {
      chmodSync(shop.write('closed', 'x'), 0);
      expect(codeOf(() => loadCredential({ certFile: shop.path('closed'), keyFile: good }, options))).toBe(
        'ERR_SOCRYPT_FILE_UNREADABLE',
      );
    }
  });

  test('a pipe is read like a file', async () => {
    const fifo = shop.path('fifo');
    execFileSync('mkfifo', [fifo]);
    const writer = promisify(execFile)('sh', ['-c', 'cat leaf.pem > fifo'], { cwd: shop.directory });
    expect(loadCredential({ certFile: fifo, keyFile: shop.path('leaf.key') }, options).names).toContain(
      'example.com',
    );
    await writer;
  });
});

describe('CredentialStore', () => {
  const ALL = [0x0403, 0x0804, 0x0807];
  const ONLY_RSA = [0x0804, 0x0401];

  test('by exact name, wildcard, default', () => {
    const first = credential('ec', 'default.test');
    const exact = credential('ec', 'www.example.com', 'EXAMPLE.com');
    const wild = credential('ec', '*.example.com', '*.localhost', 'xn--bcher-kva.example');
    const store = new CredentialStore([first, exact, wild]);
    const table: [string | undefined, Credential][] = [
      [undefined, first],
      ['', first],
      ['default.test', first],
      ['unknown.test', first],
      ['www.example.com', exact],
      ['WWW.Example.Com', exact],
      ['www.example.com.', exact],
      ['example.com', exact],
      ['mail.example.com', wild],
      ['MAIL.EXAMPLE.COM', wild],
      ['mail.example.com.', wild],
      ['a.b.example.com', first],
      ['.example.com', first],
      ['*.example.com', wild],
      ['xexample.com', first],
      ['com', first],
      ['.', first],
      ['..', first],
      ['x.', first],
      ['foo.localhost', wild],
      ['localhost', first],
      ['xn--bcher-kva.example', wild],
      ['XN--BCHER-KVA.example', wild],
      ['bücher.example', first],
      ['127.0.0.1', first],
      ['constructor', first],
      [`${'a'.repeat(300)}.example.com`, wild],
    ];
    for (const [serverName, expected] of table) {
      expect(store.select({ serverName, signatureSchemes: ALL }), `${serverName}`).toBe(expected);
    }
  });

  test('ECDSA before RSA, RSA for clients that do only RSA, none for others', () => {
    const rsa = credential('rsa', 'a.test');
    const ec = credential('ec', 'a.test', '*.b.test');
    const ed = credential('ed', 'a.test');
    const lonely = credential('rsa', 'c.test');
    const store = new CredentialStore([rsa, ec, ed, lonely]);
    const pick = (serverName: string | undefined, signatureSchemes: ArrayLike<number>) =>
      store.select({ serverName, signatureSchemes });
    expect(pick('a.test', ALL)).toBe(ec);
    expect(pick('a.test', Uint16Array.from(ONLY_RSA))).toBe(rsa);
    expect(pick('a.test', [0x0807, 0x0804])).toBe(ed);
    expect(pick('a.test', [0x0401, 0x0203])).toBeUndefined();
    expect(pick('a.test', [])).toBeUndefined();
    expect(pick(undefined, ALL)).toBe(ec);
    expect(pick(undefined, ONLY_RSA)).toBe(rsa);
    expect(pick('x.b.test', ONLY_RSA)).toBe(rsa);
    expect(pick('c.test', ALL)).toBe(lonely);
    // Named, but the client cannot verify it: the default is better than no handshake.
    expect(pick('c.test', [0x0403])).toBe(ec);
  });

  test('the order given decides among equals', () => {
    const one = credential('ec', 'same.test');
    const two = credential('ec', 'same.test');
    expect(new CredentialStore([one, two]).select({ serverName: 'same.test', signatureSchemes: ALL })).toBe(
      one,
    );
    expect(new CredentialStore([two, one]).select({ serverName: 'same.test', signatureSchemes: ALL })).toBe(
      two,
    );
  });

  test('an exact name that cannot be verified gives way to a wildcard that can', () => {
    const ec = credential('ec', 'www.d.test');
    const rsa = credential('rsa', '*.d.test');
    const other = credential('ec', 'z.test');
    const store = new CredentialStore([other, ec, rsa]);
    expect(store.select({ serverName: 'www.d.test', signatureSchemes: ONLY_RSA })).toBe(rsa);
  });

  test('an empty store is refused, a full one frozen', () => {
    expect(codeOf(() => new CredentialStore([]))).toBe('ERR_SOCRYPT_CREDENTIAL_MISSING');
    expect(Object.isFrozen(new CredentialStore([credential('ec', 'a.test')]).credentials)).toBe(true);
  });
});

import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isSocryptError } from '../../src/errors.ts';
import {
  type Certificate,
  isHostName,
  parseCertificate,
  readCertificates,
} from '../../src/x509/certificate.ts';
import { isIssuedBy, isSelfSigned, orderChain } from '../../src/x509/chain.ts';
import { random } from '../support/random.ts';
import { CA, codeOf, Workshop } from './openssl.ts';

const shop = new Workshop();
const EC = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const one = (name: string): Certificate => readCertificates(shop.read(`${name}.pem`), name)[0]!;

beforeAll(() => {
  for (const name of ['root', 'middle', 'low', 'leaf', 'stranger', 'other-root']) shop.key(name, ...EC);
  shop.certificate('root', { extensions: CA });
  shop.certificate('other-root', { extensions: CA });
  shop.certificate('middle', { issuer: 'root', extensions: CA });
  shop.certificate('low', { issuer: 'middle', extensions: CA });
  shop.certificate('leaf', {
    issuer: 'low',
    subject: '/C=SE/O=Bäckerei, Süß/CN=leaf.example',
    extensions: [
      'subjectAltName=DNS:Leaf.Example,DNS:*.leaf.example,IP:10.1.2.3,IP:2001:db8:0:0:1::,email:a@b.c,URI:https://x/',
      'keyUsage=critical,digitalSignature,keyEncipherment',
      'extendedKeyUsage=serverAuth,clientAuth',
      'basicConstraints=critical,CA:FALSE',
    ],
    to: '20491231235959Z',
  });
  shop.certificate('stranger');
});
afterAll(() => shop.remove());

describe('certificate', () => {
  test('says what node and openssl say', () => {
    const leaf = one('leaf');
    const oracle = new X509Certificate(leaf.der);
    expect(leaf.subject).toBe('C=SE, O=Bäckerei, Süß, CN=leaf.example');
    expect(leaf.commonName).toBe('leaf.example');
    expect(leaf.issuer).toBe('CN=low');
    expect(leaf.serialNumber).toBe(oracle.serialNumber.toLowerCase());
    expect(leaf.notBefore.getTime()).toBe(Date.parse(oracle.validFrom));
    expect(leaf.notAfter.getTime()).toBe(Date.parse(oracle.validTo));
    expect(leaf.notAfter.toISOString()).toBe('2049-12-31T23:59:59.000Z');
    expect(leaf.dnsNames).toEqual(['leaf.example', '*.leaf.example']);
    expect(leaf.ipAddresses).toEqual(['10.1.2.3', '2001:db8:0:0:1::']);
    expect(Buffer.from(leaf.spki).equals(oracle.publicKey.export({ type: 'spki', format: 'der' }))).toBe(
      true,
    );
    expect(leaf.isCA).toBe(false);
    expect(leaf.keyUsage).toEqual(['digitalSignature', 'keyEncipherment']);
    expect(leaf.extendedKeyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(one('middle').isCA).toBe(true);
    expect(one('middle').keyUsage?.toSorted()).toEqual(['crlSign', 'keyCertSign']);
    expect(Buffer.from(leaf.authorityKeyIdentifier!)).toEqual(Buffer.from(one('low').subjectKeyIdentifier!));
  });

  test('GeneralizedTime, version 1, no extensions', () => {
    shop.certificate('stranger', { to: '20600101000000Z' });
    expect(one('stranger').notAfter.toISOString()).toBe('2060-01-01T00:00:00.000Z');
    shop.openssl('req', '-new', '-key', 'stranger.key', '-subj', '/CN=v1', '-out', 'v1.csr');
    shop.openssl('x509', '-req', '-in', 'v1.csr', '-signkey', 'stranger.key', '-out', 'v1.pem');
    const old = one('v1');
    expect(new X509Certificate(old.der).toString()).toContain('BEGIN');
    expect(old).toMatchObject({
      subject: 'CN=v1',
      isCA: false,
      keyUsage: undefined,
      extendedKeyUsage: undefined,
    });
    expect(old.dnsNames).toEqual([]);
    shop.certificate('stranger');
  });

  test('a time that is none is refused, not guessed', () => {
    const { der } = one('leaf');
    const at = Buffer.from(der).indexOf('491231235959Z');
    for (const bad of [
      '491331235959Z',
      '490231235959Z',
      '491231246000Z',
      '49123123595 Z',
      '491231235959+',
      '4912312359-1Z',
    ]) {
      const bent = Buffer.from(der);
      bent.write(bad, at, 'latin1');
      expect(
        codeOf(() => parseCertificate(bent, 'file')),
        bad,
      ).toBe('ERR_SOCRYPT_CERTIFICATE_INVALID');
    }
  });

  test('names for people hold nothing that moves a cursor, and are bounded', () => {
    shop.certificate('stranger', { subject: `/O=a\u001b[2J\u202eb/CN=${'x'.repeat(60)}` });
    expect(one('stranger').subject).toBe(`O=a?[2J?b, CN=${'x'.repeat(60)}`);
    shop.certificate('stranger');
  });

  test('PEM with a key, with text, DER; and what is none', () => {
    const text = shop.openssl('x509', '-in', 'leaf.pem', '-text');
    const both = Buffer.concat([shop.read('leaf.key'), text, shop.read('low.pem')]);
    expect(readCertificates(both, 'file').map(({ commonName }) => commonName)).toEqual([
      'leaf.example',
      'low',
    ]);
    expect(readCertificates(shop.der('leaf.pem'), 'file')[0]!.commonName).toBe('leaf.example');
    expect(codeOf(() => readCertificates(shop.read('leaf.key'), 'file'))).toBe(
      'ERR_SOCRYPT_CERTIFICATE_MISSING',
    );
    expect(() => readCertificates(shop.read('leaf.csr'), 'file')).toThrow(/request is not a certificate/);
    shop.openssl('crl2pkcs7', '-nocrl', '-certfile', 'leaf.pem', '-out', 'leaf.p7');
    expect(() => readCertificates(shop.read('leaf.p7'), 'file')).toThrow(/openssl pkcs7/);
    shop.openssl('x509', '-in', 'leaf.pem', '-addtrust', 'serverAuth', '-trustout', '-out', 'trusted.pem');
    expect(() => readCertificates(shop.read('trusted.pem'), 'file')).toThrow(/openssl x509 -in/);
    const many = Buffer.concat(Array(17).fill(shop.read('leaf.pem')));
    expect(codeOf(() => readCertificates(many, 'file'))).toBe('ERR_SOCRYPT_CERTIFICATE_INVALID');
    expect(codeOf(() => readCertificates(Buffer.from(`30840000${'00'.repeat(99)}`, 'hex'), 'file'))).toBe(
      'ERR_SOCRYPT_CERTIFICATE_MISSING',
    );
  });

  test('every prefix, and anything appended, is refused with a code', () => {
    const { der } = one('leaf');
    for (let length = 0; length < der.length; length++) {
      const code = codeOf(() => parseCertificate(der.subarray(0, length), 'file'));
      expect(code).toBe('ERR_SOCRYPT_CERTIFICATE_INVALID');
    }
    expect(codeOf(() => parseCertificate(Buffer.concat([der, Buffer.of(0)]), 'file'))).toBe(
      'ERR_SOCRYPT_CERTIFICATE_INVALID',
    );
    expect(codeOf(() => parseCertificate(new Uint8Array(64 * 1024 + 1), 'file'))).toBe(
      'ERR_SOCRYPT_CERTIFICATE_INVALID',
    );
  });

  test('byte flips give a coded error or a certificate that node reads the same way', () => {
    const seed = Date.now() >>> 0;
    const below = random(seed);
    const { der } = one('leaf');
    let read = 0;
    for (let i = 0; i < 1500; i++) {
      const bent = Uint8Array.from(der);
      for (let flips = 1 + below(3); flips > 0; flips--) bent[below(bent.length)] = below(256);
      try {
        const certificate = parseCertificate(bent, 'file');
        const oracle = new X509Certificate(bent);
        expect(certificate.notAfter.getTime(), `seed ${seed}`).toBe(Date.parse(oracle.validTo));
        read++;
      } catch (error) {
        expect(isSocryptError(error), `seed ${seed}: ${error}`).toBe(true);
      }
    }
    // Flips in signature and key leave it readable: the comparison above did take place.
    expect(read).toBeGreaterThan(100);
  });

  test('deep nesting is refused, not recursed into', () => {
    let nested = Uint8Array.of(0x30, 0);
    for (let i = 0; i < 1000; i++) {
      const size = nested.length;
      const head =
        size < 0x80 ? [0x30, size] : size < 0x100 ? [0x30, 0x81, size] : [0x30, 0x82, size >> 8, size & 255];
      nested = Uint8Array.from([...head, ...nested]);
    }
    expect(codeOf(() => parseCertificate(nested, 'file'))).toBe('ERR_SOCRYPT_CERTIFICATE_INVALID');
  });

  test('host names', () => {
    for (const good of [
      'a',
      'a.b',
      '*.b',
      '*.a.b',
      'xn--bcher-kva.example',
      '_dmarc.x',
      '1.2.3',
      `${'a'.repeat(63)}.b`,
    ]) {
      expect(isHostName(good), good).toBe(true);
    }
    const bad = [
      '',
      '.',
      '*',
      'a.',
      '.a',
      'a..b',
      'a*.b',
      '*a.b',
      'a.*.b',
      '*.*.b',
      '-a.b',
      'a b',
      'a\0b',
      'bücher',
      'A',
    ];
    for (const name of [...bad, `${'a'.repeat(64)}.b`, `${'a.'.repeat(127)}ab`]) {
      expect(isHostName(name), name).toBe(false);
    }
  });
});

describe('chain', () => {
  const permutations = <T>(items: readonly T[]): T[][] =>
    items.length < 2
      ? [[...items]]
      : items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));
  const names = (certificates: readonly Certificate[]) => certificates.map(({ commonName }) => commonName);

  test('one to four certificates in every order come out leaf first, without the root, as openssl verifies', () => {
    const full = ['leaf', 'low', 'middle', 'root'];
    for (let count = 1; count <= full.length; count++) {
      const right = full.slice(0, count);
      for (const order of permutations(right)) {
        const { certificates, notes } = orderChain(order.map(one), 'file');
        expect(names(certificates)).toEqual(['leaf.example', 'low', 'middle'].slice(0, count));
        const reordered = order.some((name, i) => name !== right[i]);
        expect(notes.filter((note) => note.includes('out of order'))).toHaveLength(reordered ? 1 : 0);
        expect(notes.filter((note) => note.includes('root'))).toHaveLength(count === 4 ? 1 : 0);
      }
    }
    shop.write('untrusted.pem', Buffer.concat([shop.read('low.pem'), shop.read('middle.pem')]));
    expect(
      shop.openssl('verify', '-CAfile', 'root.pem', '-untrusted', 'untrusted.pem', 'leaf.pem').toString(),
    ).toContain('OK');
  });

  test('repeated ones are left out, unrelated ones refused by name', () => {
    const repeated = orderChain(['leaf', 'low', 'leaf', 'low'].map(one), 'file');
    expect(names(repeated.certificates)).toEqual(['leaf.example', 'low']);
    expect(repeated.notes.join()).toMatch(/2 repeated/);
    expect(codeOf(() => orderChain(['leaf', 'stranger'].map(one), 'file'))).toBe(
      'ERR_SOCRYPT_CERTIFICATE_CHAIN',
    );
    expect(() => orderChain(['leaf', 'low', 'other-root'].map(one), 'file')).toThrow('"CN=other-root"');
    // A gap: root did not issue low.
    expect(codeOf(() => orderChain(['leaf', 'low', 'root'].map(one), 'file'))).toBe(
      'ERR_SOCRYPT_CERTIFICATE_CHAIN',
    );
    expect(codeOf(() => orderChain([], 'file'))).toBe('ERR_SOCRYPT_CERTIFICATE_MISSING');
  });

  test('a self-signed leaf alone stays', () => {
    const { certificates, notes } = orderChain([one('stranger')], 'file');
    expect(names(certificates)).toEqual(['stranger']);
    expect(notes).toEqual([]);
    expect(isSelfSigned(certificates[0])).toBe(true);
  });

  test('the right name with the wrong key is no issuer', () => {
    shop.openssl('req', '-x509', '-new', '-key', 'stranger.key', '-subj', '/CN=low', '-out', 'impostor.pem');
    expect(isIssuedBy(one('leaf'), one('low'))).toBe(true);
    expect(isIssuedBy(one('leaf'), one('impostor'))).toBe(false);
    const bare = { ...one('impostor'), subjectKeyIdentifier: undefined };
    expect(isIssuedBy(one('leaf'), bare)).toBe(false);
  });

  test('cross-signed: both issuers of one key are sent', () => {
    const crossed = shop.read('middle.pem');
    shop.certificate('middle', { issuer: 'other-root', extensions: CA });
    shop.write('crossed.pem', crossed);
    const { certificates } = orderChain(
      ['leaf', 'low', 'middle', 'crossed', 'root', 'other-root'].map(one),
      'file',
    );
    expect(names(certificates)).toEqual(['leaf.example', 'low', 'middle', 'middle']);
    shop.write('middle.pem', crossed);
  });
});

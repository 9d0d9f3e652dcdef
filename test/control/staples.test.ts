/** What is stapled to a certificate: read, checked, left out, refused. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Credential, loadCredential } from '../../src/control/credentials.ts';
import { native } from '../../src/native.ts';
import { type Certificate, parseCertificate } from '../../src/x509/certificate.ts';
import { DerError } from '../../src/x509/der.ts';
import { ocspStatusOf } from '../../src/x509/ocsp.ts';
import { type OcspRequest, ocspResponse, sctList, timestamp } from '../support/staples.ts';
import { CA, codeOf, Workshop } from '../x509/openssl.ts';

const shop = new Workshop();
const EC = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const MINUTE = 60_000;

beforeAll(() => {
  for (const name of ['ca', 'impostor', 'leaf', 'other', 'strict']) shop.key(name, ...EC);
  shop.certificate('ca', { extensions: CA });
  shop.certificate('impostor', { extensions: CA });
  shop.certificate('leaf', { issuer: 'ca' });
  shop.certificate('other', { issuer: 'ca' });
  shop.certificate('strict', {
    issuer: 'ca',
    extensions: ['subjectAltName=DNS:strict', 'tlsfeature=status_request'],
  });
});
afterEach(() => vi.useRealTimers());
afterAll(() => shop.remove());

const answer = (cert: string, more: Partial<OcspRequest> = {}) =>
  ocspResponse({
    directory: shop.directory,
    ca: shop.path('ca.pem'),
    caKey: shop.path('ca.key'),
    cert: shop.path(`${cert}.pem`),
    state: 'V',
    minutes: 60,
    ...more,
  });

function load(staples: { ocsp?: Uint8Array; sct?: Uint8Array }, now = new Date(), cert = 'leaf') {
  const file = (name: string, content: Uint8Array | undefined) => content && shop.write(name, content);
  return loadCredential(
    {
      certFile: shop.path(`${cert}.pem`),
      keyFile: shop.path(`${cert}.key`),
      ocspFile: file('staple.ocsp', staples.ocsp),
      sctFile: file('staple.sct', staples.sct),
    },
    { crypto: native.crypto, now },
  );
}
const certificates = new Map<string, Certificate>();
function parsed(name: string): Certificate {
  const known = certificates.get(name) ?? parseCertificate(shop.der(`${name}.pem`), name);
  certificates.set(name, known);
  return known;
}
const statusOf = (ocsp: Uint8Array, issuer: string | undefined) =>
  ocspStatusOf(ocsp, parsed('leaf'), issuer === undefined ? undefined : parsed(issuer));
const codes = ({ warnings }: Credential) => warnings.map(({ code }) => code);

describe('an OCSP response', () => {
  test('is kept as it is, and for other threads, too', () => {
    const ocsp = answer('leaf');
    const loaded = load({ ocsp });
    expect(Buffer.from(loaded.ocspResponse!)).toEqual(ocsp);
    expect(loaded.ocspUntil!.getTime() - Date.now()).toBeGreaterThan(58 * MINUTE);
    expect(loaded.warnings).toEqual([]);
    const shared = new Credential(structuredClone(loaded.share()!), { sign: () => new Uint8Array() });
    expect(shared).toMatchObject({ ocspUntil: loaded.ocspUntil });
    expect(Buffer.from(shared.ocspResponse!)).toEqual(ocsp);
  });

  test('without a nextUpdate does not end', () => {
    const { minutes: _, ...rest } = { minutes: 0 };
    const ocsp = ocspResponse({
      directory: shop.directory,
      ca: shop.path('ca.pem'),
      caKey: shop.path('ca.key'),
      cert: shop.path('leaf.pem'),
      state: 'V',
      ...rest,
    });
    const loaded = load({ ocsp }, new Date(Date.now() + 30 * 86_400_000));
    expect(loaded.ocspUntil).toBeUndefined();
    expect(loaded.ocspResponse).toBeDefined();
  });

  test('that has ended, or not begun, is left out with a warning', () => {
    const ocsp = answer('leaf');
    const late = load({ ocsp }, new Date(Date.now() + 61 * MINUTE));
    expect([late.ocspResponse, codes(late)]).toEqual([undefined, ['ERR_SOCRYPT_OCSP_EXPIRED']]);
    const early = load({ ocsp }, new Date(Date.now() - 10 * MINUTE));
    expect([early.ocspResponse, codes(early)]).toEqual([undefined, ['ERR_SOCRYPT_OCSP_NOT_YET_VALID']]);
    expect(load({ ocsp }, new Date(Date.now() - MINUTE)).ocspResponse).toBeDefined();
  });

  test('that ends while it is in use is not stapled from then on', () => {
    const loaded = load({ ocsp: answer('leaf') });
    vi.useFakeTimers({ now: loaded.ocspUntil!.getTime() - 1 });
    expect(loaded.ocspResponse).toBeDefined();
    vi.setSystemTime(loaded.ocspUntil!);
    expect(loaded.ocspResponse).toBeUndefined();
  });

  test.each([['R' as const], [undefined]])('that says %s is left out with a warning', (state) => {
    const loaded = load({ ocsp: answer('leaf', { state }) });
    expect([loaded.ocspResponse, codes(loaded)]).toEqual([undefined, ['ERR_SOCRYPT_OCSP_STATUS']]);
    expect(loaded.warnings[0]!.message).toMatch(state === 'R' ? /revoked/ : /unknown/);
  });

  test('is looked for where a certificate asks for it', () => {
    expect(codes(load({}, new Date(), 'strict'))).toEqual(['ERR_SOCRYPT_CERTIFICATE_USAGE']);
    expect(load({ ocsp: answer('strict') }, new Date(), 'strict').warnings).toEqual([]);
  });

  test('of another certificate is refused', () => {
    expect(codeOf(() => load({ ocsp: answer('other') }))).toBe('ERR_SOCRYPT_OCSP_MISMATCH');
    // The same serial number and name, and another authority's key.
    const ocsp = answer('leaf', { ca: shop.path('impostor.pem'), caKey: shop.path('impostor.key') });
    expect(statusOf(ocsp, undefined)?.status).toBe('unknown');
    expect(statusOf(ocsp, 'impostor')?.status).toBe('unknown');
    expect(statusOf(ocsp, 'ca')).toBeUndefined();
    // The same serial number, and another authority's name.
    const { serialNumber } = parsed('leaf');
    expect(
      ocspStatusOf(answer('leaf'), { serialNumber, issuerDer: parsed('leaf').subjectDer }, undefined),
    ).toBeUndefined();
  });

  test('that is none, or no success, is refused with words', () => {
    const good = answer('leaf');
    const damaged = Buffer.from(good);
    damaged[damaged.indexOf('2b0601050507300101', 'hex') + 8]! ^= 2;
    const cases: [Uint8Array, RegExp][] = [
      [Buffer.of(), /no OCSPResponse/],
      [shop.read('leaf.pem'), /no OCSPResponse/],
      [shop.der('leaf.pem'), /no OCSPResponse/],
      [good.subarray(0, -1), /no OCSPResponse/],
      [Buffer.concat([good, Buffer.of(0)]), /no OCSPResponse/],
      // tryLater, unauthorized, and success without anything.
      [Buffer.from('30030a0103', 'hex'), /tryLater/],
      [Buffer.from('30030a0106', 'hex'), /unauthorized/],
      [Buffer.from('30030a0100', 'hex'), /no response/],
      [damaged, /another type than basic/],
      [Buffer.alloc(70_000), /65536 are the most/],
    ];
    for (const [ocsp, message] of cases) {
      expect(codeOf(() => load({ ocsp }))).toBe('ERR_SOCRYPT_OCSP_INVALID');
      expect(() => load({ ocsp })).toThrow(message);
      expect(() => load({ ocsp })).toThrow(/^--ocsp file /);
    }
  });

  test('of which any byte is another one is taken or refused, and never a fault', () => {
    const good = answer('leaf');
    const seen = new Set<string>();
    for (let i = 0; i < good.length; i++) {
      const changed = Buffer.from(good);
      changed[i]! ^= 1 << (i % 8);
      try {
        seen.add(statusOf(changed, 'ca')?.status ?? 'of others');
      } catch (error) {
        expect(error).toBeInstanceOf(DerError);
        seen.add('refused');
      }
    }
    expect([...seen]).toEqual(expect.arrayContaining(['good', 'of others', 'refused']));
  });
});

describe('signed certificate timestamps', () => {
  test('are kept as they are', () => {
    const sct = sctList(timestamp(), timestamp(256));
    expect(Buffer.from(load({ sct }).sctList!)).toEqual(sct);
  });

  test('as real logs signed them, from a certificate that openssl knows to read, have the same frame', () => {
    // The list is what openssl's decoder of the extension takes, too.
    const sct = sctList(timestamp());
    shop.write(
      'sct.cnf',
      `subjectAltName=DNS:x\n1.3.6.1.4.1.11129.2.4.2=DER:04:${[Buffer.of(sct.length), sct].map((part) => part.toString('hex').replace(/..(?=.)/g, '$&:')).join(':')}\n`,
    );
    execFileSync('openssl', ['req', '-new', '-key', 'leaf.key', '-subj', '/CN=x', '-out', 'sct.csr'], {
      cwd: shop.directory,
    });
    shop.openssl(
      ...['x509', '-req', '-in', 'sct.csr', '-signkey', 'leaf.key', '-extfile', 'sct.cnf', '-out', 'sct.pem'],
    );
    expect(shop.openssl('x509', '-in', 'sct.pem', '-noout', '-text').toString()).toMatch(
      /Signed Certificate Timestamp:\s+Version\s+: v1/,
    );
    expect(load({ sct }).sctList).toBeDefined();
  });

  test.each<[string, Buffer, RegExp]>([
    ['nothing', Buffer.of(), /length is not/],
    ['an empty list', sctList(), /empty/],
    ['an empty timestamp', sctList(Buffer.of()), /byte 2 is not as long/],
    ['a length that is too large', Buffer.concat([Buffer.of(0, 5), Buffer.of(0, 9, 0, 0, 0)]), /byte 2/],
    ['more than its length', Buffer.concat([sctList(timestamp()), Buffer.of(0)]), /length is not/],
    ['less than its length', sctList(timestamp()).subarray(0, -1), /length is not/],
    ['a timestamp alone', timestamp(), /length is not/],
    ['another version', sctList(Buffer.concat([Buffer.of(1), timestamp().subarray(1)])), /version 1/],
    ['a byte after the signature', sctList(Buffer.concat([timestamp(), Buffer.of(0)])), /version 1/],
    ['a short timestamp', sctList(timestamp().subarray(0, 40)), /version 1/],
    ['too much', sctList(...Array.from({ length: 200 }, () => timestamp())), /16384 are the most/],
    ['PEM', Buffer.from('-----BEGIN CERTIFICATE-----\n'), /length is not/],
    ['noise', randomBytes(300), /length is not|byte 2/],
  ])('%s is refused', (_, sct, message) => {
    expect(codeOf(() => load({ sct }))).toBe('ERR_SOCRYPT_SCT_INVALID');
    expect(() => load({ sct })).toThrow(message);
    expect(() => load({ sct })).toThrow(/^--sct file /);
  });
});

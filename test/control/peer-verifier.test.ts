import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';
import { createPeerVerifier, TLS_REASON_OF } from '../../src/control/peer-verifier.ts';
import { readSystemRoots, systemRoots } from '../../src/control/system-roots.ts';
import { REASONS } from '../../src/tls/alerts.ts';
import { writePem } from '../../src/x509/pem.ts';
import { REFUSAL_REASONS } from '../../src/x509/verify/refusal.ts';
import { authority, certificate, EKU, entity, ext, gn, later, NOW, revocationList } from '../x509/forge.ts';
import { codeOf } from '../x509/openssl.ts';

const root = entity('CN=Root');
const ROOT = authority(root, root);
const LEAF = certificate({
  subject: entity('CN=leaf'),
  issuer: root,
  serial: 77,
  extensions: [ext.san(gn.dns('leaf.example')), ext.eku(EKU.server)],
});
const clock = () => NOW.getTime();
const directory = mkdtempSync(join(tmpdir(), 'socrypt-verifier-'));
const file = (name: string, content: string | Uint8Array): { readonly file: string } => {
  writeFileSync(join(directory, name), content);
  return { file: join(directory, name) };
};
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('verifier of peers', () => {
  const roots = {
    DER: ROOT,
    PEM: writePem('CERTIFICATE', ROOT),
    'a PEM file': file('root.pem', writePem('CERTIFICATE', ROOT)),
    'a list': [file('root.der', ROOT), authority(entity('CN=Other'), entity('CN=Other'))],
  };
  test.each(Object.entries(roots))('roots as %s', (_name, given) => {
    const verifier = createPeerVerifier({ roots: given, purpose: 'serverAuth', clock });
    expect(verifier.verify([LEAF], { serverName: 'leaf.example' })).toBeUndefined();
    expect(verifier.verify([LEAF], { serverName: 'other.example' })).toMatchObject({
      reason: 'certificate_bad',
      refusal: 'name_mismatch',
      detail: expect.stringContaining('leaf.example'),
    });
    expect(verifier.verify([LEAF], { serverName: 'leaf.example', purpose: 'clientAuth' })).toMatchObject({
      reason: 'certificate_unsupported',
      refusal: 'extended_key_usage',
    });
  });

  test('a server without a name to be is refused; a client needs none', () => {
    const verifier = createPeerVerifier({ roots: ROOT, purpose: 'serverAuth', clock });
    expect(verifier.verify([LEAF])).toMatchObject({ refusal: 'name_mismatch' });
    const client = certificate({ subject: entity('CN=client'), issuer: root });
    expect(
      createPeerVerifier({ roots: ROOT, purpose: 'clientAuth', clock }).verify([client]),
    ).toBeUndefined();
  });

  test('the clock is the one given, and asked each time', () => {
    let now = NOW.getTime();
    const verifier = createPeerVerifier({ roots: ROOT, purpose: 'serverAuth', clock: () => now });
    expect(verifier.verify([LEAF], { serverName: 'leaf.example' })).toBeUndefined();
    now += 10 * 365 * 86_400_000;
    expect(verifier.verify([LEAF], { serverName: 'leaf.example' })).toMatchObject({
      reason: 'certificate_expired',
    });
  });

  test('revocation lists from files', () => {
    const make = (revoked: number[], nextUpdate = later(1000)) =>
      file('list.pem', writePem('X509 CRL', revocationList({ issuer: root, revoked, nextUpdate })));
    const verdict = (crls: { readonly file: string }, revocation = {}) =>
      createPeerVerifier({ roots: ROOT, purpose: 'serverAuth', clock, crls, revocation }).verify([LEAF], {
        serverName: 'leaf.example',
      })?.reason;
    expect(verdict(make([1]))).toBeUndefined();
    expect(verdict(make([1, 77]))).toBe('certificate_revoked');
    expect(verdict(make([1], later(-1000)))).toBe('certificate_unknown');
    expect(verdict(make([1], later(-1000)), { stale: 'accept' })).toBeUndefined();
  });

  test('options that cannot work fail at once and name the option', () => {
    const open = (options: object) => () =>
      createPeerVerifier({ roots: ROOT, purpose: 'serverAuth', ...options });
    const cases: [options: object, code: string, text: RegExp][] = [
      [{ roots: [] }, 'ERR_SOCRYPT_ROOTS_MISSING', /^roots: /],
      [{ roots: '' }, 'ERR_SOCRYPT_CERTIFICATE_MISSING', /^roots: /],
      [{ roots: 'system roots, please' }, 'ERR_SOCRYPT_CERTIFICATE_MISSING', /^roots: /],
      [{ roots: ROOT.subarray(1) }, 'ERR_SOCRYPT_CERTIFICATE_MISSING', /^roots: /],
      [
        { roots: writePem('CERTIFICATE', ROOT.subarray(0, 99)) },
        'ERR_SOCRYPT_CERTIFICATE_INVALID',
        /^roots, line 1: /,
      ],
      [{ roots: { file: '/nowhere/root.pem' } }, 'ERR_SOCRYPT_FILE_UNREADABLE', /^roots file \/nowhere/],
      [{ crls: [] }, 'ERR_SOCRYPT_CRL_MISSING', /^crls: /],
      [{ crls: writePem('CERTIFICATE', ROOT) }, 'ERR_SOCRYPT_CRL_MISSING', /^crls: /],
      [{ crls: ROOT }, 'ERR_SOCRYPT_CRL_INVALID', /^crls: /],
      [{ crls: { file: directory } }, 'ERR_SOCRYPT_FILE_UNREADABLE', /^crls file /],
    ];
    for (const [options, code, text] of cases) {
      expect(codeOf(open(options))).toBe(code);
      expect(open(options)).toThrow(text);
    }
  });

  test('every refusal has an alert', () => {
    expect(Object.keys(TLS_REASON_OF).toSorted()).toEqual([...REFUSAL_REASONS].toSorted());
    for (const reason of Object.values(TLS_REASON_OF)) expect(REASONS).toContain(reason);
  });
});

describe('system roots', () => {
  test('are read once', () => {
    expect(systemRoots()).toBe(systemRoots());
    expect(systemRoots().links.length).toBeGreaterThan(0);
  });

  test("a whole bundle, Node's own list of roots, reads", () => {
    const bundle = file('bundle.pem', rootCertificates.join('\n'));
    const anchors = readSystemRoots(bundle.file);
    expect(anchors.links).toHaveLength(rootCertificates.length);
    // All that are trusted have keys and constraints that are understood.
    for (const link of anchors.links) expect([link.who, 'facts' in link.key]).toEqual([link.who, true]);
  });

  test('a damaged root is left out, a bundle without any is an error', () => {
    const mixed = file(
      'mixed.pem',
      writePem('CERTIFICATE', ROOT.subarray(0, -9)) + writePem('CERTIFICATE', ROOT),
    );
    expect(readSystemRoots(mixed.file).links).toHaveLength(1);
    expect(codeOf(() => readSystemRoots(file('none.pem', 'nothing').file))).toBe('ERR_SOCRYPT_ROOTS_MISSING');
  });
});

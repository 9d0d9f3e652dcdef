import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { parseRevocationList } from '../../src/x509/verify/crl.ts';
import { KnownIntermediates, Link } from '../../src/x509/verify/link.ts';
import { REFUSAL_REASONS } from '../../src/x509/verify/refusal.ts';
import type { RevocationPolicy } from '../../src/x509/verify/revocation.ts';
import { LIMITS, verifyChain } from '../../src/x509/verify/verify-chain.ts';
import {
  authority,
  CA_EXTENSIONS,
  certificate,
  der,
  EKU,
  type Entity,
  ec,
  entity,
  ext,
  gn,
  hex,
  keyId,
  type ListShape,
  later,
  NOW,
  name,
  revocationList,
  sequence,
  YEAR,
} from './forge.ts';

import {
  ANCHORS,
  anchorsOf,
  judge,
  LEAF,
  LOW,
  leafKeys,
  leafOf,
  MIDDLE,
  middle,
  ROOT,
  root,
  seen,
  withSan,
} from './zoo.ts';

describe('paths', () => {
  test('from the leaf to the root, leaf first', () => {
    const verdict = verifyChain({
      chain: [LEAF, LOW, MIDDLE],
      anchors: ANCHORS,
      purpose: 'serverAuth',
      serverName: 'leaf.example',
      now: NOW,
    });
    expect(verdict.ok && verdict.path.map(({ commonName }) => commonName)).toEqual([
      'leaf',
      'Low',
      'Middle',
      'Root',
    ]);
  });

  test('intermediates in any order, repeated, with the root and with strangers among them', () => {
    const stranger = authority(entity('CN=Stranger'), entity('CN=Nobody'));
    expect(judge([LEAF, MIDDLE, LOW])).toBe('ok');
    expect(judge([LEAF, stranger, ROOT, LOW, LOW, LEAF, MIDDLE, MIDDLE])).toBe('ok');
    expect(judge([LEAF, LOW])).toBe('unknown_issuer');
    expect(judge([LEAF, MIDDLE])).toBe('unknown_issuer');
    expect(judge([LEAF])).toBe('unknown_issuer');
  });

  test('a leaf or an intermediate may itself be an anchor', () => {
    expect(judge([LEAF], { anchors: anchorsOf(LEAF) })).toBe('ok');
    expect(judge([LEAF], { anchors: anchorsOf(LOW) })).toBe('ok');
    const selfSigned = leafOf({ name: name('CN=leaf'), keys: leafKeys });
    expect(judge([selfSigned], { anchors: anchorsOf(selfSigned) })).toBe('ok');
    expect(judge([selfSigned])).toBe('unknown_issuer');
    // Trusted, and still held to its name and its time.
    expect(judge([LEAF], { anchors: anchorsOf(LEAF), serverName: 'other.example' })).toBe('name_mismatch');
    expect(judge([LEAF], { anchors: anchorsOf(LEAF), now: later(2 * YEAR) })).toBe('expired');
  });

  test('cross-signing: the path that leads to a trusted root is found, whatever stands beside it', () => {
    const oldRoot = entity('CN=Old Root');
    const crossed = authority(root, oldRoot);
    const OLD = authority(oldRoot, oldRoot);
    for (const chain of [
      [LEAF, crossed, LOW, MIDDLE],
      [LEAF, LOW, MIDDLE, crossed, OLD],
    ]) {
      expect(judge(chain, { anchors: anchorsOf(OLD) })).toBe('ok');
      expect(judge(chain, { anchors: ANCHORS })).toBe('ok');
      expect(judge(chain, { anchors: anchorsOf(ROOT, OLD) })).toBe('ok');
    }
    // One of two certificates of the same authority is expired (the AddTrust failure of 2020).
    const expired = certificate({
      subject: middle,
      issuer: oldRoot,
      extensions: CA_EXTENSIONS,
      to: later(-1000),
    });
    const both = anchorsOf(ROOT, OLD);
    expect(judge([LEAF, LOW, expired, MIDDLE], { anchors: both })).toBe('ok');
    expect(judge([LEAF, LOW, MIDDLE, expired], { anchors: both })).toBe('ok');
    expect(judge([LEAF, LOW, expired], { anchors: both })).toBe('expired');
    const expiredRoot = certificate({ subject: root, extensions: CA_EXTENSIONS, to: later(-1000) });
    expect(judge([LEAF, LOW, MIDDLE], { anchors: anchorsOf(expiredRoot) })).toBe('expired');
    expect(judge([LEAF, LOW, MIDDLE, crossed], { anchors: anchorsOf(expiredRoot, OLD) })).toBe('ok');
  });

  test('loops end', () => {
    const a = entity('CN=A');
    const b = entity('CN=B');
    const chain = [leafOf(a), authority(a, b), authority(b, a)];
    expect(judge(chain)).toBe('unknown_issuer');
    expect(judge([...chain, authority(b, root)])).toBe('ok');
  });

  test('an authority that changed its key: the key identifier is a hint and no more', () => {
    const renewed: Entity = { name: middle.name, keys: ec() };
    const first = authority(renewed, root, ext.subjectKey(keyId(renewed.keys)));
    const second = authority(middle, root, ext.subjectKey(keyId(middle.keys)));
    const leaf = leafOf(middle, { extensions: [ext.authorityKey(keyId(middle.keys))] });
    expect(judge([leaf, first, second])).toBe('ok');
    const misled = leafOf(middle, { extensions: [ext.authorityKey(keyId(renewed.keys))] });
    expect(judge([misled, first, second])).toBe('ok');
    expect(judge([leaf, first])).toBe('bad_signature');
  });

  test('known intermediates spare the parse and change no verdict', () => {
    const known = new KnownIntermediates();
    for (let round = 0; round < 2; round++) {
      expect(judge([LEAF, LOW, MIDDLE], { known })).toBe('ok');
      // Known is not sent: a path needs its certificates each time.
      expect(judge([LEAF, LOW], { known })).toBe('unknown_issuer');
      expect(judge([LEAF, LOW, MIDDLE], { known, anchors: anchorsOf(LOW) })).toBe('ok');
      expect(judge([LEAF, LOW, MIDDLE], { known, now: later(2 * YEAR) })).toBe('expired');
    }
    expect(known.find(LOW)?.certificate.commonName).toBe('Low');
    expect([known.find(LEAF), known.find(ROOT)]).toEqual([undefined, undefined]);
    // 64 of them, the one used longest ago goes first.
    const others = Array.from({ length: 63 }, (_, i) =>
      authority({ ...middle, name: name(`CN=${i}`) }, root),
    );
    for (const other of others) known.add(new Link(parseCertificate(other, 'other'), false));
    expect([LOW, MIDDLE, others[0]!].filter((one) => known.find(one) !== undefined)).toHaveLength(2);
    expect(judge([LEAF, LOW, MIDDLE], { known })).toBe('ok');
  });

  test('every algorithm that is taken', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pss = generateKeyPairSync('rsa-pss', { modulusLength: 2048 });
    const keys = [
      [ec(), 'ecdsa256'],
      [ec('P-384'), 'ecdsa384'],
      [ec('P-521'), 'ecdsa512'],
      [ec('P-384'), 'ecdsa256'],
      [rsa, 'rsa256'],
      [rsa, 'rsa384'],
      [rsa, 'rsa512'],
      [rsa, 'pss256'],
      [pss, 'pss256'],
      [generateKeyPairSync('ed25519'), 'ed25519'],
    ] as const;
    for (const [pair, algorithm] of keys) {
      const top: Entity = { name: name('CN=Top'), keys: pair };
      const anchor = certificate({ subject: top, extensions: CA_EXTENSIONS, algorithm });
      expect(judge([leafOf(top, { algorithm })], { anchors: anchorsOf(anchor) }), algorithm).toBe('ok');
      const bent = leafOf(top, { algorithm, bendSignature: true });
      expect(judge([bent], { anchors: anchorsOf(anchor) }), algorithm).toBe('bad_signature');
    }
  });
});

describe('each certificate', () => {
  test('validity includes both of its ends, to the second', () => {
    const leaf = leafOf(root, { from: later(-1000), to: later(1000) });
    expect(judge([leaf], { now: later(-1000) })).toBe('ok');
    expect(judge([leaf], { now: later(-1001) })).toBe('not_yet_valid');
    expect(judge([leaf], { now: later(1999) })).toBe('ok');
    expect(judge([leaf], { now: later(2000) })).toBe('expired');
    expect(judge([leaf], { now: new Date(Number.NaN) })).toBe('not_yet_valid');
    const early = certificate({
      subject: middle,
      issuer: root,
      extensions: CA_EXTENSIONS,
      from: later(1000),
    });
    expect(judge([LEAF, LOW, early])).toBe('not_yet_valid');
    expect(judge([leafOf(root, { to: new Date('2060-01-01T00:00:00Z') })])).toBe('ok');
  });

  // RFC 5280 4.2.1.9: "the certified public key MUST NOT be used to verify certificate signatures".
  test('an issuer is an authority by basicConstraints of version 3', () => {
    const issuerWith = (...extensions: Uint8Array[]) =>
      certificate({ subject: middle, issuer: root, extensions });
    const leaf = leafOf(middle);
    expect(judge([leaf, issuerWith(ext.basic(true))])).toBe('ok');
    expect(judge([leaf, issuerWith(ext.basic(false))])).toBe('issuer_not_ca');
    expect(judge([leaf, issuerWith(ext.keyUsage(5))])).toBe('issuer_not_ca');
    expect(judge([leaf, certificate({ subject: middle, issuer: root, version: 0 })])).toBe('issuer_not_ca');
    expect(judge([leafOf(root)], { anchors: anchorsOf(certificate({ subject: root, version: 0 })) })).toBe(
      'issuer_not_ca',
    );
  });

  test('path length counts the intermediates below, not the self-issued ones and not the leaf', () => {
    const limited = (length: number) =>
      anchorsOf(certificate({ subject: root, extensions: [ext.basic(true, length), ext.keyUsage(5)] }));
    expect(judge([LEAF, LOW, MIDDLE], { anchors: limited(2) })).toBe('ok');
    expect(judge([LEAF, LOW, MIDDLE], { anchors: limited(1) })).toBe('path_length_exceeded');
    expect(judge([leafOf(root)], { anchors: limited(0) })).toBe('ok');
    const zero = certificate({ subject: middle, issuer: root, extensions: [ext.basic(true, 0)] });
    expect(judge([LEAF, LOW, zero])).toBe('path_length_exceeded');
    expect(judge([leafOf(middle), zero])).toBe('ok');
    // A key rollover: Middle certifies its next key.
    const next: Entity = { name: middle.name, keys: ec() };
    expect(judge([leafOf(next), authority(next, middle), zero])).toBe('ok');
  });

  // RFC 5280 4.2.1.3: "MUST NOT be used to verify signatures on certificates or CRLs unless".
  test('key usage', () => {
    const signerWith = (...bits: number[]) =>
      certificate({ subject: middle, issuer: root, extensions: [ext.basic(true), ext.keyUsage(...bits)] });
    expect(judge([leafOf(middle), signerWith(5)])).toBe('ok');
    expect(judge([leafOf(middle), signerWith(0, 6)])).toBe('key_usage');
    const leafWith = (...bits: number[]) => leafOf(root, { extensions: [ext.keyUsage(...bits)] });
    expect(judge([leafWith(0, 2)])).toBe('ok');
    expect(judge([leafWith(2)])).toBe('key_usage');
    expect(judge([leafOf(root, { extensions: [] })])).toBe('ok');
  });

  // RFC 5280 4.2.1.12: "the certificate MUST only be used for one of the purposes indicated".
  test('extended key usage, nested through the issuers', () => {
    const leafWith = (...ids: string[]) => leafOf(middle, { extensions: [ext.eku(...ids)] });
    const issuerWith = (...ids: string[]) => authority(middle, root, ext.eku(...ids));
    const client = { purpose: 'clientAuth' } as const;
    expect(judge([leafWith(EKU.server), MIDDLE])).toBe('ok');
    expect(judge([leafWith(EKU.server), MIDDLE], client)).toBe('extended_key_usage');
    expect(judge([leafWith(EKU.client), MIDDLE], client)).toBe('ok');
    expect(judge([leafWith(EKU.client), MIDDLE])).toBe('extended_key_usage');
    expect(judge([leafWith(EKU.any), MIDDLE])).toBe('ok');
    expect(judge([leafWith(EKU.email, EKU.server), issuerWith(EKU.server)])).toBe('ok');
    expect(judge([leafWith(EKU.server), issuerWith(EKU.email)])).toBe('extended_key_usage');
    expect(judge([leafWith(EKU.server), issuerWith(EKU.any)])).toBe('ok');
    expect(judge([leafOf(middle, { extensions: [] }), issuerWith(EKU.client)])).toBe('extended_key_usage');
  });

  // RFC 5280 4.2: "MUST reject the certificate if it encounters a critical extension it does not recognize".
  test('critical extensions that are not known', () => {
    const unknown = ext.raw('1.2.3.4', true, hex('0500'));
    const policies = ext.raw('2.5.29.32', true, sequence(sequence(hex('06032a0304'))));
    const policyConstraints = ext.raw('2.5.29.36', true, sequence(hex('800100')));
    const poison = ext.raw('1.3.6.1.4.1.11129.2.4.3', true, hex('0500'));
    expect(judge([leafOf(root, { extensions: [unknown] })])).toBe('unknown_critical_extension');
    expect(judge([leafOf(root, { extensions: [poison] })])).toBe('unknown_critical_extension');
    expect(judge([leafOf(root, { extensions: [ext.raw('1.2.3.4', false, hex('0500'))] })])).toBe('ok');
    expect(judge([leafOf(root, { extensions: [policies] })])).toBe('ok');
    expect(judge([leafOf(middle), authority(middle, root, unknown)])).toBe('unknown_critical_extension');
    expect(judge([leafOf(middle), authority(middle, root, policyConstraints)])).toBe(
      'unknown_critical_extension',
    );
    expect(judge([leafOf(root)], { anchors: anchorsOf(authority(root, root, unknown)) })).toBe(
      'unknown_critical_extension',
    );
  });

  test('signature algorithms', () => {
    expect(judge([leafOf(root, { outerAlgorithm: 'ecdsa384' })])).toBe('signature_algorithm_mismatch');
    expect(judge([leafOf(root, { algorithm: 'ecdsaSha1' })])).toBe('unsupported_signature_algorithm');
    const rsa: Entity = entity('CN=RSA', generateKeyPairSync('rsa', { modulusLength: 2048 }));
    const anchors = anchorsOf(certificate({ subject: rsa, extensions: CA_EXTENSIONS, algorithm: 'rsa256' }));
    expect(judge([leafOf(rsa, { algorithm: 'rsaSha1' })], { anchors })).toBe(
      'unsupported_signature_algorithm',
    );
    const verdict = verifyChain({
      chain: [leafOf(rsa, { algorithm: 'rsaSha1' })],
      anchors,
      purpose: 'serverAuth',
      now: NOW,
    });
    expect(verdict).toMatchObject({ detail: expect.stringContaining('sha1WithRSAEncryption') });
    // The root's own signature is nobody's business.
    const old = certificate({ subject: rsa, extensions: CA_EXTENSIONS, algorithm: 'rsaSha1' });
    expect(judge([leafOf(rsa, { algorithm: 'rsa256' })], { anchors: anchorsOf(old) })).toBe('ok');
  });

  test('keys', () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const odd = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    const leafWith = (keys: typeof weak) => leafOf(root, { subject: { name: name('CN=x'), keys } });
    expect(judge([leafWith(weak)])).toBe('weak_key');
    expect(judge([leafWith(odd)])).toBe('unsupported_key');
    const small: Entity = { name: name('CN=Small'), keys: weak };
    expect(judge([leafOf(small, { algorithm: 'rsa256' }), authority(small, root)])).toBe('weak_key');
  });

  test('what is none', () => {
    expect(judge([])).toBe('no_certificate');
    expect(judge([new Uint8Array(0)])).toBe('malformed');
    expect(judge([LEAF.subarray(0, -1), LOW, MIDDLE])).toBe('malformed');
    expect(judge([LEAF, LOW, MIDDLE, hex('3000')])).toBe('malformed');
    const twice = leafOf(root, { extensions: [ext.keyUsage(0), ext.keyUsage(0)] });
    expect(judge([twice])).toBe('malformed');
    // RFC 5280 4.1.2.1: extensions want version 3.
    expect(judge([leafOf(root, { version: 1, extensions: [ext.keyUsage(0)] })])).toBe('malformed');
    expect(judge([leafOf(root, { version: 5 })])).toBe('malformed');
    expect(judge([leafOf(root, { version: 0, extensions: [] })], { purpose: 'clientAuth' })).toBe('ok');
  });
});

describe('bounds', () => {
  test('more certificates, bytes or elements than are looked at', () => {
    expect(judge(Array<Uint8Array>(LIMITS.certificates + 1).fill(LEAF))).toBe('chain_too_large');
    expect(judge([new Uint8Array(LIMITS.chainBytes + 1)])).toBe('chain_too_large');
    const many = Array.from({ length: 5900 }, (_, i) => gn.dns(`h${i}.example`));
    expect(judge([leafOf(root, withSan(...many))])).toBe('chain_too_large');
    expect(judge([leafOf(root, withSan(...many.slice(0, 2000)))], { serverName: 'h1999.example' })).toBe(
      'ok',
    );
  });

  test('a path of eight intermediates is followed, one of nine is not', () => {
    const build = (count: number): Uint8Array[] => {
      const chain: Uint8Array[] = [];
      let issuer = root;
      for (let i = 0; i < count; i++) {
        const next = entity(`CN=${i}`);
        chain.unshift(authority(next, issuer));
        issuer = next;
      }
      return [leafOf(issuer), ...chain];
    };
    expect(judge(build(LIMITS.intermediates))).toBe('ok');
    expect(judge(build(LIMITS.intermediates + 1))).toBe('path_too_long');
  });

  test('namesakes without end: the number of signature checks is bounded', () => {
    const anchors = anchorsOf(
      ...Array.from({ length: LIMITS.signatureChecks + 20 }, () => authority(entity('CN=Same'), root)),
    );
    expect(judge([leafOf(entity('CN=Same'))], { anchors })).toBe('path_too_complex');
  });

  test('a web of authorities that certify each other: the number of candidates is bounded', () => {
    // Of five keys of one name each certifies the others; every path is signed well, none leads out.
    const keys = Array.from({ length: 4 }, () => entity('CN=Web'));
    const web = keys.flatMap((subject) =>
      keys.filter((issuer) => issuer !== subject).map((issuer) => authority(subject, issuer)),
    );
    expect(['unknown_issuer', 'bad_signature', 'path_too_complex']).toContain(
      judge([leafOf(keys[0]!), ...web]),
    );
  });

  test('many names under many constraints', () => {
    const bases = Array.from({ length: 900 }, (_, i) => gn.dns(`c${i}.example`));
    const names = Array.from({ length: 900 }, (_, i) => gn.dns(`n${i}.c899.example`));
    const issuer = authority(middle, root, ext.constraints(bases));
    expect(judge([leafOf(middle, withSan(...names)), issuer])).toBe('path_too_complex');
    expect(judge([leafOf(middle, withSan(...names.slice(0, 100))), issuer])).toBe('ok');
  });
});

describe('revocation', () => {
  const SERIAL = 0xabcdef;
  const leaf = leafOf(middle, { serial: SERIAL });
  const chain = [leaf, MIDDLE];
  const list = (shape: ListShape) => parseRevocationList(revocationList(shape), 'list');
  const withLists = (lists: RevocationPolicy['lists'], more: Partial<RevocationPolicy> = {}) =>
    judge(chain, { revocation: { lists, ...more } });
  const clean = list({ issuer: middle, revoked: [1, 2, 3] });
  const rootClean = list({ issuer: root });

  test('a list for every issuer, and nothing on it', () => {
    expect(withLists([clean, rootClean])).toBe('ok');
    expect(withLists([clean])).toBe('revocation_unknown');
    expect(withLists([clean], { check: 'leaf' })).toBe('ok');
    expect(withLists([])).toBe('revocation_unknown');
    expect(withLists([], { missing: 'accept' })).toBe('ok');
  });

  test('revoked: the leaf, an intermediate, by any of several lists, by a stale one too', () => {
    expect(withLists([list({ issuer: middle, revoked: [7, SERIAL] }), rootClean])).toBe('revoked');
    expect(withLists([clean, list({ issuer: middle, revoked: [SERIAL] }), rootClean])).toBe('revoked');
    const old = list({ issuer: middle, revoked: [SERIAL], nextUpdate: later(-1000) });
    expect(withLists([old, rootClean], { stale: 'accept' })).toBe('revoked');
    const numbered = certificate({ subject: middle, issuer: root, extensions: CA_EXTENSIONS, serial: 0x80 });
    const policy = { lists: [clean, list({ issuer: root, revoked: [0x80] })] };
    expect(judge([leaf, numbered], { revocation: policy })).toBe('revoked');
    // Another path to the same key does not help a revoked leaf.
    expect(judge([leaf, numbered, MIDDLE], { revocation: policy })).toBe('ok');
  });

  test('stale lists', () => {
    const stale = list({ issuer: middle, nextUpdate: later(-1000) });
    const early = list({ issuer: middle, thisUpdate: later(1000) });
    expect(withLists([stale, rootClean])).toBe('revocation_stale');
    expect(withLists([early, rootClean])).toBe('revocation_stale');
    expect(withLists([stale, clean, rootClean])).toBe('ok');
    expect(withLists([stale, rootClean], { stale: 'accept' })).toBe('ok');
  });

  test('a list that its issuer did not sign, or may not sign, is none', () => {
    expect(withLists([list({ issuer: middle, signer: ec() }), rootClean])).toBe('revocation_unknown');
    const noListSigner = certificate({
      subject: middle,
      issuer: root,
      extensions: [ext.basic(true), ext.keyUsage(5)],
    });
    expect(judge([leaf, noListSigner], { revocation: { lists: [clean, rootClean] } })).toBe(
      'revocation_unknown',
    );
  });

  test('lists for a part of the certificates speak for that part alone', () => {
    const scoped = (...fields: string[]) =>
      list({ issuer: middle, extensions: [ext.raw('2.5.29.28', true, sequence(...fields.map(hex)))] });
    expect(withLists([scoped('8101ff'), rootClean])).toBe('ok');
    expect(withLists([scoped('8201ff'), rootClean])).toBe('revocation_unknown');
    const point = (uri: string) => der(0xa0, der(0xa0, gn.uri(uri)));
    const shard = list({
      issuer: middle,
      extensions: [ext.raw('2.5.29.28', true, sequence(point('http://crl.example/1')))],
    });
    expect(withLists([shard, rootClean])).toBe('revocation_unknown');
    const leafAt = (uri: string) =>
      leafOf(middle, { extensions: [ext.raw('2.5.29.31', false, sequence(sequence(point(uri))))] });
    const revocation = { lists: [shard, rootClean] };
    expect(judge([leafAt('http://crl.example/1'), MIDDLE], { revocation })).toBe('ok');
    expect(judge([leafAt('http://crl.example/2'), MIDDLE], { revocation })).toBe('revocation_unknown');
  });

  test('lists that cannot be used are refused when they are read', () => {
    const reasons = (shape: ListShape) => {
      try {
        list(shape);
      } catch (error) {
        return (error as { code?: string }).code;
      }
      return 'read';
    };
    const bad = 'ERR_SOCRYPT_CRL_INVALID';
    expect(reasons({ issuer: middle, nextUpdate: null })).toBe(bad);
    expect(reasons({ issuer: middle, extensions: [ext.raw('2.5.29.27', true, hex('020101'))] })).toBe(bad);
    expect(
      reasons({ issuer: middle, extensions: [ext.raw('2.5.29.28', true, sequence(hex('8401ff')))] }),
    ).toBe(bad);
    const entryExtensions = [ext.raw('2.5.29.29', true, sequence(gn.directory(name('CN=Other'))))];
    expect(reasons({ issuer: middle, revoked: [5], entryExtensions })).toBe(bad);
    expect(
      reasons({ issuer: middle, revoked: [5], entryExtensions: [ext.raw('2.5.29.21', true, hex('0a0101'))] }),
    ).toBe('read');
    const whole = revocationList({ issuer: middle, revoked: [1, 300, 70_000] });
    expect([...parseRevocationList(whole, 'list').revoked]).toEqual(['01', '012c', '011170']);
    for (let length = 0; length < whole.length; length++) {
      expect(() => parseRevocationList(whole.subarray(0, length), 'list'), `${length}`).toThrow(
        /expected a complete/,
      );
    }
  });
});

test('every reason was met, except the one that stands for a fault of ours', () => {
  expect([...REFUSAL_REASONS].filter((reason) => !seen.has(reason))).toEqual([
    'name_constraint', // these two in names.test.ts
    'unsupported_name_constraint',
    'internal_error',
  ]);
});

/** Hostile chains: never an exception, never a fault of ours, never a verification that the unbent chain did not give. */
import { expect, test } from 'vitest';
import { isSocryptError } from '../../src/errors.ts';
import { countElements } from '../../src/x509/der.ts';
import { parseRevocationList } from '../../src/x509/verify/crl.ts';
import { verifyChain } from '../../src/x509/verify/verify-chain.ts';
import { Random, testSeed } from '../support/random.ts';
import { authority, der, EKU, ext, gn, hex, NOW, name, revocationList, sequence } from './forge.ts';
import { ANCHORS, leafOf, middle, root } from './zoo.ts';

const constraints = ext.constraints(
  [gn.dns('example'), gn.ip(192, 0, 2, 0, 255, 255, 255, 0), gn.directory(name('CN=leaf'))],
  [gn.dns('bad.example'), gn.email('mail.example')],
);
const ISSUER = authority(middle, root, constraints, ext.eku(EKU.server));
const LEAF = leafOf(middle, {
  extensions: [
    ext.san(gn.dns('leaf.example'), gn.dns('*.leaf.example'), gn.ip(192, 0, 2, 7), gn.uri('https://x/')),
    ext.keyUsage(0),
    ext.eku(EKU.server),
    ext.raw('2.5.29.31', false, sequence(sequence(der(0xa0, der(0xa0, gn.uri('http://crl.example/')))))),
  ],
});
const LIST = parseRevocationList(revocationList({ issuer: middle, revoked: [1] }), 'list');

function judge(chain: readonly Uint8Array[]): string {
  const verdict = verifyChain({
    chain,
    anchors: ANCHORS,
    purpose: 'serverAuth',
    serverName: 'leaf.example',
    now: NOW,
    revocation: { lists: [LIST], check: 'leaf' },
  });
  return verdict.ok ? 'ok' : verdict.reason;
}

/** One change: an octet, a length, a piece cut out, doubled or taken from elsewhere. */
function bend(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length);
  const size = 1 + random.below(16);
  switch (random.below(5)) {
    case 0: {
      const bent = Uint8Array.from(bytes);
      bent[at] = random.below(256);
      return bent;
    }
    case 1: {
      const bent = Uint8Array.from(bytes);
      bent[at]! ^= 1 << random.below(8);
      return bent;
    }
    case 2:
      return Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + size)]);
    case 3:
      return Uint8Array.from([...bytes.subarray(0, at + size), ...bytes.subarray(at)]);
    default: {
      const bent = Uint8Array.from(bytes);
      const from = random.below(bytes.length);
      bent.set(bytes.subarray(from, from + Math.min(size, bytes.length - at)), at);
      return bent;
    }
  }
}

test('mutated certificates are refused', () => {
  const seed = testSeed();
  const random = new Random(seed);
  expect(judge([LEAF, ISSUER])).toBe('ok');
  const reasons = new Map<string, number>();
  for (let i = 0; i < 2500; i++) {
    const which = random.below(2);
    let bent = which === 0 ? LEAF : ISSUER;
    for (let changes = 1 + random.below(3); changes > 0; changes--) bent = bend(bent, random);
    const isSame = Buffer.compare(bent, which === 0 ? LEAF : ISSUER) === 0;
    const reason = judge(which === 0 ? [bent, ISSUER] : [LEAF, bent]);
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    expect(reason, `seed ${seed}, case ${i}`).not.toBe('internal_error');
    if (!isSame) expect(reason, `seed ${seed}, case ${i}`).not.toBe('ok');
  }
  console.log(`mutated chains, seed ${seed}: ${[...reasons].map(([what, n]) => `${what} ${n}`).join(', ')}`);
  // Not only the parser was reached.
  expect(reasons.size).toBeGreaterThan(4);
});

test('mutated extensions under good signatures: the rules meet them, and never a fault of ours', () => {
  const seed = testSeed();
  const random = new Random(seed);
  const inLeaf = [
    ext.san(gn.dns('leaf.example'), gn.ip(192, 0, 2, 7), gn.directory(name('O=Test,CN=leaf'))),
    ext.keyUsage(0),
    ext.eku(EKU.server),
    ext.basic(false),
    ext.authorityKey(Buffer.alloc(20)),
  ];
  const inIssuer = [
    constraints,
    ext.eku(EKU.server, EKU.client),
    ext.subjectKey(Buffer.alloc(20)),
    ext.basic(true, 3),
  ];
  const reasons = new Map<string, number>();
  for (let i = 0; i < 1200; i++) {
    const bendOne = (list: readonly Buffer[]): Uint8Array[] => {
      const target = random.below(list.length);
      return list.map((extension, index) => {
        if (index !== target) return extension;
        // Within the value alone, its lengths written anew: what asn1-schema takes for the extension's frame stays.
        const body = bend(extension.subarray(9), random);
        return sequence(extension.subarray(2, 7), der(0x04, body));
      });
    };
    const chain =
      random.below(2) === 0
        ? [leafOf(middle, { extensions: bendOne(inLeaf) }), ISSUER]
        : [LEAF, authority(middle, root, ...bendOne(inIssuer.slice(0, 3)))];
    const reason = judge(chain);
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    expect(reason, `seed ${seed}, case ${i}`).not.toBe('internal_error');
  }
  console.log(
    `mutated extensions, seed ${seed}: ${[...reasons].map(([what, n]) => `${what} ${n}`).join(', ')}`,
  );
  expect(reasons.size).toBeGreaterThan(3);
});

test('random DER and nested DER are refused', () => {
  const seed = testSeed();
  const random = new Random(seed);
  const element = (depth: number): Buffer => {
    const tag = [0x02, 0x03, 0x04, 0x05, 0x06, 0x0c, 0x17, 0x30, 0x31, 0xa0, 0xa3, 0x82][random.below(12)]!;
    if ((tag & 0x20) === 0 || depth > 6) return der(tag & ~0x20, random.bytes(random.below(12)));
    return der(tag, ...Array.from({ length: random.below(6) }, () => element(depth + 1)));
  };
  for (let i = 0; i < 1000; i++) {
    const bytes = new Uint8Array(sequence(element(0), element(1), element(2)));
    expect(judge([bytes]), `seed ${seed}, case ${i}`).toBe('malformed');
  }
  let nested: Buffer = hex('0500');
  for (let i = 0; i < 5000; i++) nested = sequence(nested);
  expect(judge([new Uint8Array(nested)])).toBe('malformed');
  // Elements in OCTET STRINGs count, as those of extensions do.
  const wide = sequence(...Array.from({ length: 500 }, () => hex('0500')));
  expect(countElements(sequence(der(0x04, wide)), 10_000)).toBe(503);
  expect(countElements(sequence(der(0x04, wide)), 100)).toBe(Number.POSITIVE_INFINITY);
});

test('mutated lists give a coded error, or a list that no issuer has signed', () => {
  const seed = testSeed();
  const random = new Random(seed);
  const good = revocationList({
    issuer: middle,
    revoked: [1, 900],
    extensions: [
      ext.raw('2.5.29.20', false, hex('020105')),
      ext.raw('2.5.29.28', true, sequence(hex('8101ff'))),
    ],
  });
  let read = 0;
  for (let i = 0; i < 2000; i++) {
    const bent = bend(good, random);
    try {
      const list = parseRevocationList(bent, 'list');
      read++;
      const verdict = verifyChain({
        chain: [LEAF, ISSUER],
        anchors: ANCHORS,
        purpose: 'serverAuth',
        now: NOW,
        revocation: { lists: [list], check: 'leaf' },
      });
      const expected = Buffer.compare(bent, good) === 0 ? 'ok' : 'revocation_unknown';
      expect(verdict.ok ? 'ok' : verdict.reason, `seed ${seed}, case ${i}`).toBe(expected);
    } catch (error) {
      if (!isSocryptError(error, 'ERR_SOCRYPT_CRL_INVALID')) throw error;
    }
  }
  expect(read).toBeGreaterThan(100);
});

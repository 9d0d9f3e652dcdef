/** One small world of authorities for the tests of verification, and its judge. */
import { expect } from 'vitest';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { TrustAnchors } from '../../src/x509/verify/link.ts';
import { type VerifyOptions, verifyChain } from '../../src/x509/verify/verify-chain.ts';
import {
  authority,
  type CertificateShape,
  certificate,
  EKU,
  type Entity,
  ec,
  entity,
  ext,
  gn,
  NOW,
  name,
} from './forge.ts';

export const root = entity('O=Test,CN=Root');
export const middle = entity('O=Test,CN=Middle');
export const low = entity('O=Test,CN=Low');
export const leafKeys = ec();
export const ROOT = authority(root, root);
export const MIDDLE = authority(middle, root);
export const LOW = authority(low, middle);

export function leafOf(issuer: Entity, shape: Partial<CertificateShape> = {}): Uint8Array {
  return certificate({
    subject: { name: name('CN=leaf'), keys: leafKeys },
    issuer,
    extensions: [ext.san(gn.dns('leaf.example'), gn.ip(192, 0, 2, 7)), ext.keyUsage(0), ext.eku(EKU.server)],
    ...shape,
  });
}
export const withSan = (...names: Uint8Array[]): Partial<CertificateShape> => ({
  extensions: [ext.san(...names)],
});
export const LEAF = leafOf(low);

export const anchorsOf = (...roots: Uint8Array[]): TrustAnchors =>
  new TrustAnchors(roots.map((one) => parseCertificate(one, 'root')));
export const ANCHORS = anchorsOf(ROOT);

/** 'ok', or the reason. */
export function judge(chain: readonly Uint8Array[], options: Partial<VerifyOptions> = {}): string {
  const verdict = verifyChain({ chain, anchors: ANCHORS, purpose: 'serverAuth', now: NOW, ...options });
  if (verdict.ok) return 'ok';
  seen.add(verdict.reason);
  expect(verdict.detail).toMatch(/^.{10,}$/);
  return verdict.reason;
}
export const seen = new Set<string>();

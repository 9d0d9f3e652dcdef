/** What this program, as the caller, says of a peer's certificate. */
import type { CertificateRefusal } from '../../../src/tls/index.ts';
import { parseCertificate } from '../../../src/x509/certificate.ts';
import { TrustAnchors } from '../../../src/x509/verify/link.ts';
import { verifyChain } from '../../../src/x509/verify/verify-chain.ts';
import type { Options } from './flags.ts';

/**
 * Without -verify-peer a client of the test goes on with whatever the server is. Whether a resumed session's certificate
 * is looked at again is the caller's policy.
 */
export function refusalOf(
  options: Options,
  isResumption: boolean,
  chain: readonly Uint8Array[],
): CertificateRefusal | undefined {
  if (isResumption && !options['expect-session-miss'] && !options['reverify-on-resume']) return undefined;
  if (!allowsSignatures(chain[0]!, options)) return 'certificate_unsupported';
  if (options['fail-ocsp-callback']) return 'certificate_status_refused';
  if (!options['verify-fail'] || !(options['verify-peer'] || options['require-any-client-certificate'])) {
    return undefined;
  }
  return options['use-custom-verify-callback'] ? 'certificate_unknown' : 'certificate_not_accepted';
}

const KEY_USAGE = Buffer.from('0603551d0f', 'hex');

/**
 * The runner's certificates lead to no root, so the chain is not verified; but its rule on key usage is, with the leaf as
 * its own anchor and at its beginning, since some have ended when they come. Only where there is a key usage, since a verification costs a parse.
 */
function allowsSignatures(leaf: Uint8Array, options: Options): boolean {
  if (!Buffer.from(leaf).includes(KEY_USAGE)) return true;
  const certificate = parseCertificate(leaf, 'leaf');
  const anchors = new TrustAnchors([certificate]);
  const purpose = options.server ? 'clientAuth' : 'serverAuth';
  const verdict = verifyChain({ chain: [leaf], anchors, purpose, now: certificate.notBefore });
  return verdict.ok || verdict.reason !== 'key_usage';
}

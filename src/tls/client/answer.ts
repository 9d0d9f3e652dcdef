/** Which extensions an answer to a ClientHello may hold. */
import { TlsError } from '../alerts.ts';
import type { Extensions } from '../codec/extensions.ts';
import { ExtensionType } from '../codepoints.ts';
import type { Offer } from './offer.ts';

/** RFC 8446 4.2: the table of messages in which an extension may appear, as far as it can be offered here. */
export const ALLOWED_IN = {
  serverHello: new Set<number>([
    ExtensionType.keyShare,
    ExtensionType.preSharedKey,
    ExtensionType.supportedVersions,
  ]),
  helloRetryRequest: new Set<number>([
    ExtensionType.keyShare,
    ExtensionType.cookie,
    ExtensionType.supportedVersions,
  ]),
  encryptedExtensions: new Set<number>([
    ExtensionType.serverName,
    ExtensionType.supportedGroups,
    ExtensionType.alpn,
    ExtensionType.recordSizeLimit,
  ]),
  certificate: new Set<number>([ExtensionType.statusRequest, ExtensionType.signedCertificateTimestamp]),
} as const;

/**
 * RFC 8446 4.2: for an extension that was not asked for "an endpoint MUST abort the handshake with an
 * "unsupported_extension" alert"; one "which it recognizes and which is
 * not specified for the message in which it appears" is illegal_parameter. What was offered is recognised.
 */
export function checkAnswered(extensions: Extensions, allowed: ReadonlySet<number>, offer: Offer): void {
  for (const type of extensions.keys()) {
    // RFC 8446 4.1.4: "a HelloRetryRequest MUST NOT contain any extensions that were not first offered by the client
    // in its ClientHello, with the exception of optionally the "cookie"".
    // RFC 8446 4.2: a server "MUST NOT send extension responses if the remote endpoint did not send the corresponding
    // extension requests, with the exception of the "cookie" extension".
    if (type === ExtensionType.cookie && allowed === ALLOWED_IN.helloRetryRequest) continue;
    // RFC 5246 7.4.1.4: "it MUST abort the handshake with an unsupported_extension fatal alert".
    if (!offer.types.has(type)) throw new TlsError('extension_not_offered');
    if (!allowed.has(type)) throw new TlsError('extension_in_wrong_message');
  }
}

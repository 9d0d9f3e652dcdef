import { TlsError } from '../alerts.ts';
import { type Extensions, readAlpn, readExtensions, readList16 } from '../codec/extensions.ts';
import { Reader } from '../codec/reader.ts';
import { ExtensionType, HandshakeType } from '../codepoints.ts';
import type { HandshakeMessage } from '../handshake-joiner.ts';
import { requireType } from '../state.ts';
import { ALLOWED_IN, checkAnswered } from './answer.ts';
import { ExpectCertificateOrRequest } from './expect-certificate.ts';
import { type Progress, ProtectedState } from './progress.ts';
import type { ClientState } from './state.ts';

export class ExpectEncryptedExtensions extends ProtectedState<Progress> {
  readonly name = 'ExpectEncryptedExtensions';

  override receive(message: HandshakeMessage): ClientState {
    requireType(message, HandshakeType.encryptedExtensions);
    const { offer, transcript } = this.progress;
    transcript.add(message.whole);
    const reader = new Reader(message.body);
    const extensions = readExtensions(reader.nested16(0));
    reader.expectEnd();
    checkAnswered(extensions, ALLOWED_IN.encryptedExtensions, offer);
    // RFC 6066 3: its "extension_data" field "SHALL be empty".
    extensions.get(ExtensionType.serverName)?.expectEnd();
    // RFC 8446 4.2.7: for later connections; "Clients MUST NOT act upon any information" in it before the Finished.
    const groups = extensions.get(ExtensionType.supportedGroups);
    if (groups !== undefined) readList16(groups, 2);
    const alpn = selectedAlpn(offer.config.alpn, extensions);
    return new ExpectCertificateOrRequest({ ...this.progress, alpn });
  }
}

/** RFC 7301 3.1: the list "MUST contain exactly one "ProtocolName""; 3.2: one that the client has offered. */
export function selectedAlpn(offered: readonly string[], extensions: Extensions): string | undefined {
  const extension = extensions.get(ExtensionType.alpn);
  if (extension === undefined) return undefined;
  const [name, ...more] = readAlpn(extension);
  if (name === undefined || more.length > 0) throw new TlsError('bad_list_length');
  if (!offered.includes(name)) throw new TlsError('alpn_not_offered');
  return name;
}

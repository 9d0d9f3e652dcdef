import { TlsError } from '../alerts.ts';
import { type Extensions, readAlpn, readExtensions, readList16 } from '../codec/extensions.ts';
import { Reader } from '../codec/reader.ts';
import { ExtensionType, HandshakeType, MAX_PLAINTEXT, MIN_RECORD_SIZE_LIMIT } from '../codepoints.ts';
import type { HandshakeMessage } from '../handshake-joiner.ts';
import { requireType } from '../state.ts';
import { ALLOWED_IN, checkAnswered } from './answer.ts';
import { verify } from './await-verification.ts';
import { ExpectCertificateOrRequest } from './expect-certificate.ts';
import { type Progress, ProtectedState } from './progress.ts';
import type { ClientState, Connection } from './state.ts';

export class ExpectEncryptedExtensions extends ProtectedState<Progress> {
  readonly name = 'ExpectEncryptedExtensions';

  override receive(message: HandshakeMessage, connection: Connection): ClientState {
    requireType(message, HandshakeType.encryptedExtensions);
    const { offer, transcript, resumed } = this.progress;
    transcript.add(message.whole);
    const reader = new Reader(message.body);
    const extensions = readExtensions(reader.nested16(0));
    reader.expectEnd();
    // RFC 8446 4.3.1: "The client MUST check EncryptedExtensions for the presence of any forbidden extensions".
    // RFC 8449 5: max_fragment_length is never offered: "MUST treat receipt of both "max_fragment_length" and
    // "record_size_limit" as a fatal error".
    checkAnswered(extensions, ALLOWED_IN.encryptedExtensions, offer);
    // RFC 6066 3: its "extension_data" field "SHALL be empty".
    extensions.get(ExtensionType.serverName)?.expectEnd();
    // RFC 8446 4.2.7: for later connections; "Clients MUST NOT act upon any information" in it before the Finished.
    const groups = extensions.get(ExtensionType.supportedGroups);
    if (groups !== undefined) readList16(groups, 2);
    const alpn = selectedAlpn(offer.config.alpn, extensions);
    // Of TLS 1.3 records the limit counts the content type as well.
    const maxFragment = maxFragmentFrom(extensions, 1);
    connection.writer.limitFragments(maxFragment);
    const extended = { ...this.progress, alpn, maxFragment };
    if (resumed === undefined) return new ExpectCertificateOrRequest(extended);
    // RFC 8446 2.2: the PSK is the server's proof; no certificate, and no request for ours.
    const { scheme, chain, ocspResponse, sctList } = resumed.session;
    const presented = { chain, ocspResponse, sctList };
    return verify(connection, { ...extended, request: undefined, scheme, presented });
  }
}

/**
 * RFC 8449 4: "An endpoint MUST treat receipt of a smaller value as a fatal error and generate an "illegal_parameter"
 * alert." `overhead`: bytes of a record's plaintext that are no content.
 */
export function maxFragmentFrom(extensions: Extensions, overhead: 0 | 1): number {
  const extension = extensions.get(ExtensionType.recordSizeLimit);
  if (extension === undefined) return MAX_PLAINTEXT;
  const limit = extension.u16();
  extension.expectEnd();
  if (limit < MIN_RECORD_SIZE_LIMIT) throw new TlsError('bad_record_size_limit');
  return Math.min(MAX_PLAINTEXT, limit - overhead);
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

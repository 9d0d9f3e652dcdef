/** The bodies of the ClientHello extensions that are understood (RFC 8446 4.2, RFC 6066 3, RFC 7301 3.1). */
import { type Reason, TlsError } from '../alerts.ts';
import { ExtensionType } from '../codepoints.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

export interface KeyShareEntry {
  readonly group: number;
  readonly key: Uint8Array;
}

/** Each with its content, in the order in which they came. */
export type Extensions = ReadonlyMap<number, Reader>;

/** `list`: the content of an extensions vector. `duplicate`: why one that comes twice is refused. */
export function readExtensions(list: Reader, duplicate: Reason = 'duplicate_extension'): Extensions {
  const extensions = new Map<number, Reader>();
  while (list.remaining > 0) {
    const type = list.u16();
    // RFC 5246 7.4.1.4: "There MUST NOT be more than one extension of the same type." RFC 8446 4.2: the same "in a
    // given extension block."
    if (extensions.has(type)) throw new TlsError(duplicate);
    extensions.set(type, list.nested16(0));
  }
  return extensions;
}

const HOST_NAME = 0;
const MAX_HOST_NAME = 255;

/**
 * The host name in lower case and without a final dot; undefined when the list holds other name types only. RFC 6066
 * 11.1: "MUST ensure that a buffer overflow does not occur, whatever the values of the length fields in server_name":
 * every length goes through Reader.
 */
export function readServerName(reader: Reader): string | undefined {
  const list = reader.nested16(1);
  reader.expectEnd();
  let name: string | undefined;
  while (list.remaining > 0) {
    const type = list.u8();
    const bytes = list.bytes16(1);
    if (type !== HOST_NAME) continue;
    // RFC 6066 3: "MUST NOT contain more than one name of the same name_type".
    if (name !== undefined) throw new TlsError('duplicate_server_name');
    name = hostName(bytes);
  }
  return name;
}

function hostName(bytes: Uint8Array): string {
  let length = bytes.length;
  if (bytes[length - 1] === 0x2e) length--;
  if (length === 0 || length > MAX_HOST_NAME) throw new TlsError('bad_server_name');
  let name = '';
  for (let i = 0; i < length; i++) {
    let byte = bytes[i]!;
    if (byte >= 0x41 && byte <= 0x5a) byte |= 0x20;
    // Letters, digits, '-', '.', '_' (seen in practice), and ':' as some clients send an IPv6 address.
    const valid =
      (byte >= 0x61 && byte <= 0x7a) ||
      (byte >= 0x30 && byte <= 0x3a) ||
      byte === 0x2d ||
      byte === 0x2e ||
      byte === 0x5f;
    if (!valid) throw new TlsError('bad_server_name');
    name += String.fromCharCode(byte);
  }
  return name;
}

/** Protocol names are bytes (RFC 7301); as strings here one character is one byte. */
export function readAlpn(reader: Reader): string[] {
  const list = reader.nested16(2);
  reader.expectEnd();
  const names: string[] = [];
  while (list.remaining > 0) {
    // RFC 7301 3.1: "Empty strings MUST NOT be included and byte strings MUST NOT be truncated."
    const bytes = list.bytes8(1);
    let name = '';
    for (let i = 0; i < bytes.length; i++) name += String.fromCharCode(bytes[i]!);
    names.push(name);
  }
  return names;
}

/** The one protocol that a server has chosen. */
export function writeAlpn(writer: Writer, protocol: string): void {
  writer.u16(ExtensionType.alpn);
  const extension = writer.open(2);
  const names = writer.open(2);
  const name = writer.open(1);
  for (let i = 0; i < protocol.length; i++) writer.u8(protocol.charCodeAt(i));
  writer.close(name, 1);
  writer.close(names, 2);
  writer.close(extension, 2);
}

/** May be empty: the client asks for a HelloRetryRequest (RFC 8446 4.2.8). */
export function readKeyShares(reader: Reader): KeyShareEntry[] {
  const list = reader.nested16(0);
  reader.expectEnd();
  const shares: KeyShareEntry[] = [];
  while (list.remaining > 0) shares.push({ group: list.u16(), key: list.bytes16(1) });
  refuseDuplicateGroups(shares);
  return shares;
}

/** RFC 8446 4.2.8: "Clients MUST NOT offer multiple KeyShareEntry values for the same group." */
function refuseDuplicateGroups(shares: readonly KeyShareEntry[]): void {
  if (shares.length < 2) return;
  const seen = new Set<number>();
  for (const share of shares) {
    if (seen.has(share.group)) throw new TlsError('duplicate_key_share');
    seen.add(share.group);
  }
}

export function readList16(reader: Reader, prefix: 1 | 2): number[] {
  const list = reader.list16(prefix);
  reader.expectEnd();
  return list;
}

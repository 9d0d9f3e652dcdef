import { TlsError } from '../alerts.ts';
import { ExtensionType } from '../codepoints.ts';
import { readCertificateAuthorities } from './certificate-request.ts';
import { type KeyShareEntry, readAlpn, readKeyShares, readList16, readServerName } from './extensions.ts';
import { type OfferedPsks, readOfferedPsks } from './pre-shared-key.ts';
import { Reader } from './reader.ts';

/** RFC 8446 4.1.2. Byte fields alias the message. An extension that was not there is undefined. */
export interface ClientHello {
  readonly legacyVersion: number;
  readonly random: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly cipherSuites: readonly number[];
  readonly compressionMethods: Uint8Array;
  readonly serverName: string | undefined;
  /** A server_name extension was there, whatever it held. */
  readonly namesServer: boolean;
  readonly supportedGroups: readonly number[] | undefined;
  readonly signatureAlgorithms: readonly number[] | undefined;
  readonly alpn: readonly string[] | undefined;
  readonly supportedVersions: readonly number[] | undefined;
  readonly keyShares: readonly KeyShareEntry[] | undefined;
  readonly pskModes: Uint8Array | undefined;
  /** pre_shared_key. */
  readonly psks: OfferedPsks | undefined;
  readonly offersEarlyData: boolean;
  /** TLS 1.2: ECPointFormats (RFC 8422 5.1.2). */
  readonly pointFormats: Uint8Array | undefined;
  /** TLS 1.2: RFC 7627. */
  readonly offersExtendedMasterSecret: boolean;
  /** TLS 1.2: renegotiated_connection (RFC 5746 3.2). */
  readonly renegotiationInfo: Uint8Array | undefined;
  /** TLS 1.2: a ticket, or empty to ask for one (RFC 5077 3.2). */
  readonly sessionTicket: Uint8Array | undefined;
  readonly cookie: Uint8Array | undefined;
  /** status_request: a stapled OCSP response is wanted (RFC 6066 8). */
  readonly wantsOcsp: boolean;
  /** signed_certificate_timestamp (RFC 6962 3.3.1). */
  readonly wantsScts: boolean;
  readonly recordSizeLimit: number | undefined;
  /** Distinguished names, DER. */
  readonly certificateAuthorities: readonly Uint8Array[] | undefined;
  readonly signatureAlgorithmsCert: readonly number[] | undefined;
}

const OCSP = 1;

/** Reads the body of a ClientHello: its form only; what it means is the states' business. */
export function readClientHello(body: Uint8Array): ClientHello {
  const reader = new Reader(body);
  const legacyVersion = reader.u16();
  const random = reader.bytes(32);
  const sessionId = reader.bytes8(0);
  if (sessionId.length > 32) throw new TlsError('bad_session_id');
  const cipherSuites = reader.list16(2);
  const compressionMethods = reader.bytes8(1);

  let serverName: string | undefined;
  let namesServer = false;
  let supportedGroups: number[] | undefined;
  let signatureAlgorithms: number[] | undefined;
  let alpn: string[] | undefined;
  let supportedVersions: number[] | undefined;
  let keyShares: KeyShareEntry[] | undefined;
  let pskModes: Uint8Array | undefined;
  let psks: OfferedPsks | undefined;
  let offersEarlyData = false;
  let pointFormats: Uint8Array | undefined;
  let offersExtendedMasterSecret = false;
  let renegotiationInfo: Uint8Array | undefined;
  let sessionTicket: Uint8Array | undefined;
  let cookie: Uint8Array | undefined;
  let wantsOcsp = false;
  let wantsScts = false;
  let recordSizeLimit: number | undefined;
  let certificateAuthorities: readonly Uint8Array[] | undefined;
  let signatureAlgorithmsCert: number[] | undefined;

  // A hello older than TLS 1.2 may end here (RFC 5246 7.4.1.2); the version check answers it.
  // RFC 5246 7.4.1.2: "MUST accept ClientHello messages both with and without the extensions field".
  // RFC 8446 4.1.2: "MUST check that the message either contains no data after legacy_compression_methods or that it
  // contains a valid extensions block with no data following"; "If not, then it MUST abort the handshake with a
  // "decode_error" alert."
  if (reader.remaining > 0) {
    const extensions = reader.nested16(0);
    reader.expectEnd();
    const seen = new Set<number>();
    while (extensions.remaining > 0) {
      // RFC 8446 4.2.11: "Servers MUST check that it is the last extension and otherwise fail the handshake".
      if (psks !== undefined) throw new TlsError('pre_shared_key_not_last');
      const type = extensions.u16();
      const content = extensions.nested16(0);
      // RFC 8446 4.2: "There MUST NOT be more than one extension of the same type".
      if (seen.has(type)) throw new TlsError('duplicate_extension');
      seen.add(type);
      switch (type) {
        case ExtensionType.serverName:
          namesServer = true;
          serverName = readServerName(content);
          break;
        case ExtensionType.supportedGroups:
          supportedGroups = readList16(content, 2);
          break;
        case ExtensionType.signatureAlgorithms:
          // RFC 5246 7.4.1.4.1: "TLS servers MUST support receiving this extension."
          signatureAlgorithms = readList16(content, 2);
          break;
        case ExtensionType.alpn:
          alpn = readAlpn(content);
          break;
        case ExtensionType.supportedVersions:
          supportedVersions = readList16(content, 1);
          break;
        case ExtensionType.keyShare:
          keyShares = readKeyShares(content);
          break;
        case ExtensionType.pskKeyExchangeModes:
          pskModes = content.bytes8(1);
          content.expectEnd();
          break;
        case ExtensionType.preSharedKey:
          psks = readOfferedPsks(content);
          break;
        case ExtensionType.earlyData:
          content.expectEnd();
          offersEarlyData = true;
          break;
        case ExtensionType.ecPointFormats:
          pointFormats = content.bytes8(1);
          content.expectEnd();
          break;
        case ExtensionType.extendedMasterSecret:
          content.expectEnd();
          offersExtendedMasterSecret = true;
          break;
        case ExtensionType.renegotiationInfo:
          renegotiationInfo = content.bytes8(0);
          content.expectEnd();
          break;
        case ExtensionType.sessionTicket:
          sessionTicket = content.bytes(content.remaining);
          break;
        case ExtensionType.cookie:
          cookie = content.bytes16(1);
          content.expectEnd();
          break;
        case ExtensionType.statusRequest:
          // RFC 6066 8: other types of status are passed over, and so is which responders are liked.
          wantsOcsp = content.remaining > 0 && content.u8() === OCSP;
          break;
        case ExtensionType.signedCertificateTimestamp:
          content.expectEnd();
          wantsScts = true;
          break;
        case ExtensionType.recordSizeLimit:
          // RFC 8449 5: "MUST ignore a "max_fragment_length" that appears in a ClientHello if both extensions
          // appear".
          recordSizeLimit = content.u16();
          content.expectEnd();
          break;
        case ExtensionType.certificateAuthorities:
          certificateAuthorities = readCertificateAuthorities(content);
          break;
        case ExtensionType.signatureAlgorithmsCert:
          signatureAlgorithmsCert = readList16(content, 2);
          break;
        // RFC 8446 4.1.2: "Servers MUST ignore unrecognized extensions." RFC 8446 9.3: "MUST correctly ignore all
        // unrecognized cipher suites, extensions, and other parameters". RFC 8446 4.4.2.1: status_request_v2 is one
        // of them: "MUST NOT act upon its presence"; "MUST be able to process ClientHello messages that include it".
        default:
      }
    }
  }
  return {
    legacyVersion,
    random,
    sessionId,
    cipherSuites,
    compressionMethods,
    serverName,
    namesServer,
    supportedGroups,
    signatureAlgorithms,
    alpn,
    supportedVersions,
    keyShares,
    pskModes,
    psks,
    offersEarlyData,
    pointFormats,
    offersExtendedMasterSecret,
    renegotiationInfo,
    sessionTicket,
    cookie,
    wantsOcsp,
    wantsScts,
    recordSizeLimit,
    certificateAuthorities,
    signatureAlgorithmsCert,
  };
}

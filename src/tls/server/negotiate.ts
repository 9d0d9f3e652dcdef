/** What a ClientHello means to this server: checks and choices, before any key exists. */
import { TlsError } from '../alerts.ts';
import type { Credential } from '../api.ts';
import type { ClientHello } from '../codec/client-hello.ts';
import type { KeyShareEntry } from '../codec/extensions.ts';
import { FALLBACK_SCSV, MIN_RECORD_SIZE_LIMIT, SSL30, signsIn13, TLS12, TLS13 } from '../codepoints.ts';
import { type Suite, suiteById } from '../suites.ts';
import type { ServerConfig } from './api.ts';

/** A hello that RFC 8446 allows, with the extensions that a handshake with certificates must have. */
export interface Offer {
  readonly hello: ClientHello;
  readonly groups: readonly number[];
  readonly shares: readonly KeyShareEntry[];
  /** undefined: a session is to be resumed, or nothing. */
  readonly signatureSchemes: readonly number[] | undefined;
}

/**
 * The highest version that both speak. RFC 8446 4.2.1: "servers MUST NOT use the ClientHello.legacy_version value for
 * version negotiation"; "MUST only select a version of TLS present in that extension and MUST ignore any unknown
 * versions"; "MUST be prepared to receive ClientHellos that include this extension but do not include 0x0304". RFC
 * 8446 D.2: "the server MUST negotiate using that extension"; without it "the server MUST negotiate the minimum of
 * ClientHello.legacy_version and TLS 1.2", RFC 8446 4.2.1: "MUST negotiate TLS 1.2 or prior … even if
 * ClientHello.legacy_version is 0x0304 or later". RFC 5246 E.1: "it MUST reply according to the highest version
 * supported by the server". RFC 5746 3.6: "MUST accept version numbers higher than their highest version number".
 */
export function chooseVersion(config: ServerConfig, hello: ClientHello): number {
  // RFC 8446 D.5: "legacy_version set to 0x0300 MUST abort the handshake with a "protocol_version" alert", and SSL
  // 3.0 "MUST NOT be negotiated for any reason".
  if (hello.legacyVersion <= SSL30) throw new TlsError('ssl30_offered');
  const offers = (version: number) =>
    config.versions.includes(version) &&
    (hello.supportedVersions === undefined
      ? version === TLS12 && hello.legacyVersion >= TLS12
      : hello.supportedVersions.includes(version));
  const version = [TLS13, TLS12].find(offers);
  // RFC 7507 3: a client that came back with less than it can, though we can do more, was led to do so.
  if (hello.cipherSuites.includes(FALLBACK_SCSV) && config.versions.some((ours) => ours > (version ?? 0))) {
    throw new TlsError('inappropriate_fallback');
  }
  // RFC 8446 D.2: "the server only supports versions greater than ClientHello.legacy_version, the server MUST abort
  // the handshake with a "protocol_version" alert". RFC 5246 E.1: "it MUST send a "protocol_version" alert message
  // and close".
  if (version === undefined) throw new TlsError('no_common_version');
  return version;
}

/** Of a hello that is answered in TLS 1.3. */
export function checkHello(hello: ClientHello): Offer {
  // RFC 8446 4.1.2: "exactly one byte, set to zero".
  // RFC 8446 4.1.2: "received with any other value in this field, the server MUST abort the handshake".
  if (hello.compressionMethods.length !== 1 || hello.compressionMethods[0] !== 0) {
    throw new TlsError('bad_compression_methods');
  }
  // RFC 8446 9.2: "a ClientHello message MUST meet the following requirements": "it MUST contain both a
  // "signature_algorithms" extension and a "supported_groups" extension", "it MUST also contain a "key_share"
  // extension, and vice versa"; else the server "MUST abort the handshake with a "missing_extension" alert". A PSK is
  // taken only together with a key exchange, so that it excuses from the first one alone.
  if (hello.signatureAlgorithms === undefined && hello.psks === undefined)
    throw new TlsError('missing_signature_algorithms');
  if (hello.supportedGroups === undefined) throw new TlsError('missing_supported_groups');
  if (hello.keyShares === undefined) throw new TlsError('missing_key_share');
  // RFC 8446 4.2.9: "If clients offer "pre_shared_key" without a "psk_key_exchange_modes" extension, servers
  // MUST abort the handshake."
  if (hello.psks !== undefined && hello.pskModes === undefined)
    throw new TlsError('missing_psk_key_exchange_modes');
  checkRecordSizeLimit(hello);
  return {
    hello,
    groups: hello.supportedGroups,
    shares: hello.keyShares,
    signatureSchemes: hello.signatureAlgorithms,
  };
}

/**
 * RFC 8449 4: "Endpoints MUST NOT send a "record_size_limit" extension with a value smaller than 64." RFC 8449 4: "An
 * endpoint MUST treat receipt of a smaller value as a fatal error and generate an "illegal_parameter" alert."
 */
export function checkRecordSizeLimit({ recordSizeLimit }: ClientHello): void {
  if (recordSizeLimit !== undefined && recordSizeLimit < MIN_RECORD_SIZE_LIMIT) {
    throw new TlsError('bad_record_size_limit');
  }
}

const CHACHA20_POLY1305_SHA256 = 0x1303;

function is13(id: number): boolean {
  return suiteById(id)?.version === TLS13;
}

/**
 * Ours in our order; but a client that puts ChaCha20 first of those we have has no hardware for AES, and gets it (as
 * BoringSSL, and nginx with PrioritizeChaCha).
 */
export function chooseSuite(config: ServerConfig, hello: ClientHello): Suite {
  const clients = hello.cipherSuites.find((id) => config.suites.includes(id) && is13(id));
  const first = clients === CHACHA20_POLY1305_SHA256 ? [CHACHA20_POLY1305_SHA256] : [];
  for (const id of [...first, ...config.suites]) {
    // RFC 8446 4.1.2: "the server MUST ignore those cipher suites and process the remaining ones as usual".
    if (!hello.cipherSuites.includes(id)) continue;
    const suite = suiteById(id);
    if (suite?.version === TLS13) return suite;
  }
  // RFC 8446 4.1.1: "If the server is unable to negotiate a supported set of parameters … it MUST abort the
  // handshake". RFC 8446 2.1: "If no common cryptographic parameters can be negotiated, the server MUST abort".
  throw new TlsError('no_common_suite');
}

/** The first of our groups with a share, which saves a round trip; else the first to ask a share for. */
export function chooseGroup(
  config: ServerConfig,
  offer: Offer,
): { readonly group: number; readonly share: KeyShareEntry | undefined } {
  let wanted: number | undefined;
  for (const group of config.groups) {
    const share = offer.shares.find((entry) => entry.group === group);
    // RFC 8446 4.2.8: "Servers MUST NOT send a KeyShareEntry for any group not indicated in the client's
    // "supported_groups"".
    if (offer.groups.includes(group)) {
      if (share !== undefined) return { group, share };
      wanted ??= group;
    } else if (share !== undefined) {
      // RFC 8446 4.2.8: no shares "for groups not listed in the client's "supported_groups"".
      throw new TlsError('key_share_for_unsupported_group');
    }
  }
  // RFC 8446 4.1.1: "If there is no overlap between the received "supported_groups" and the groups supported by the
  // server, then the server MUST abort the handshake".
  if (wanted === undefined) throw new TlsError('no_common_group');
  return { group: wanted, share: undefined };
}

export interface ChosenCredential {
  readonly credential: Credential;
  readonly scheme: number;
}

/** `signatureSchemes`: those of the hello, or, without them, that of the session to resume. */
export function chooseCredential(
  config: ServerConfig,
  hello: ClientHello,
  signatureSchemes: readonly number[],
): ChosenCredential {
  const { serverName } = hello;
  const credential = config.selectCredential({
    serverName,
    version: TLS13,
    signatureSchemes,
    groups: undefined,
    certificateSchemes: hello.signatureAlgorithmsCert,
    certificateAuthorities: hello.certificateAuthorities,
  });
  if (credential === undefined)
    // RFC 6066 9: "MUST NOT be sent unless the sending party has received an extended hello message".
    throw new TlsError(serverName === undefined ? 'no_credential' : 'unrecognized_name');
  // RFC 8446 4.4.2.2: "public key (and associated restrictions) MUST be compatible with the selected authentication
  // algorithm from the client's".
  for (const scheme of credential.schemes) {
    if (signsIn13(scheme) && signatureSchemes.includes(scheme)) return { credential, scheme };
  }
  throw new TlsError('no_common_signature_scheme');
}

/**
 * RFC 7301 3.2: the server's preference decides; none in common is fatal. RFC 7301 3.2: "the server SHALL respond
 * with a fatal "no_application_protocol" alert". The choice is final: it "SHALL be definitive for the connection".
 */
export function chooseAlpn(config: ServerConfig, hello: ClientHello): string | undefined {
  if (config.alpn.length === 0 || hello.alpn === undefined) return undefined;
  for (const name of config.alpn) if (hello.alpn.includes(name)) return name;
  throw new TlsError('no_common_alpn');
}

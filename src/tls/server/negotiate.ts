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

/** The highest version that both speak; with supported_versions the client's legacy_version says nothing. */
export function chooseVersion(config: ServerConfig, hello: ClientHello): number {
  // RFC 8446 D.5: a legacy_version of 0x0300 "MUST" be answered by protocol_version.
  if (hello.legacyVersion <= SSL30) throw new TlsError('ssl30_offered');
  const offers = (version: number) =>
    config.versions.includes(version) &&
    (hello.supportedVersions === undefined
      ? // RFC 8446 4.2.1: then it is TLS 1.2 or prior, even if legacy_version says 0x0304 or later.
        version === TLS12 && hello.legacyVersion >= TLS12
      : hello.supportedVersions.includes(version));
  const version = [TLS13, TLS12].find(offers);
  // RFC 7507 3: a client that came back with less than it can, though we can do more, was led to do so.
  if (hello.cipherSuites.includes(FALLBACK_SCSV) && config.versions.some((ours) => ours > (version ?? 0))) {
    throw new TlsError('inappropriate_fallback');
  }
  if (version === undefined) throw new TlsError('no_common_version');
  return version;
}

/** Of a hello that is answered in TLS 1.3. */
export function checkHello(hello: ClientHello): Offer {
  // RFC 8446 4.1.2: "exactly one byte, set to zero".
  if (hello.compressionMethods.length !== 1 || hello.compressionMethods[0] !== 0) {
    throw new TlsError('bad_compression_methods');
  }
  // RFC 8446 9.2; a PSK is taken only together with a key exchange, so that it excuses from the first one alone.
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

/** RFC 8449 4: "Endpoints MUST NOT send a "record_size_limit" extension with a value smaller than 64." */
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
    if (!hello.cipherSuites.includes(id)) continue;
    const suite = suiteById(id);
    if (suite?.version === TLS13) return suite;
  }
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
    if (offer.groups.includes(group)) {
      if (share !== undefined) return { group, share };
      wanted ??= group;
    } else if (share !== undefined) {
      // RFC 8446 4.2.8: no shares "for groups not listed in the client's "supported_groups"".
      throw new TlsError('key_share_for_unsupported_group');
    }
  }
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
    certificateSchemes: hello.signatureAlgorithmsCert,
    certificateAuthorities: hello.certificateAuthorities,
  });
  if (credential === undefined)
    throw new TlsError(serverName === undefined ? 'no_credential' : 'unrecognized_name');
  for (const scheme of credential.schemes) {
    if (signsIn13(scheme) && signatureSchemes.includes(scheme)) return { credential, scheme };
  }
  throw new TlsError('no_common_signature_scheme');
}

/** RFC 7301 3.2: the server's preference decides; none in common is fatal. */
export function chooseAlpn(config: ServerConfig, hello: ClientHello): string | undefined {
  if (config.alpn.length === 0 || hello.alpn === undefined) return undefined;
  for (const name of config.alpn) if (hello.alpn.includes(name)) return name;
  throw new TlsError('no_common_alpn');
}

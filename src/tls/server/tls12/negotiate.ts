/** What a ClientHello means to this server in TLS 1.2: checks and choices, before any key exists. */
import { TlsError } from '../../alerts.ts';
import type { Credential } from '../../api.ts';
import type { ClientHello } from '../../codec/client-hello.ts';
import {
  type Authentication,
  authenticationOf,
  EMPTY_RENEGOTIATION_INFO_SCSV,
  isGroupOf12,
  NamedGroup,
  TLS12,
  UNCOMPRESSED_POINT,
} from '../../codepoints.ts';
import { type Suite, suiteById } from '../../suites.ts';
import type { ServerConfig } from '../api.ts';
import { checkRecordSizeLimit, chooseAlpn } from '../negotiate.ts';

export interface Choice {
  /** All that both sides have, ours first; a session that is resumed has one of them. */
  readonly suites: readonly Suite[];
  readonly suite: Suite;
  readonly group: number;
  readonly credential: Credential;
  readonly scheme: number;
  readonly alpn: string | undefined;
}

export function checkHello(hello: ClientHello): void {
  // RFC 5246 7.4.1.2: the list "MUST contain, and all implementations MUST support, CompressionMethod.null".
  // RFC 8446 4.1.2: with other methods beside it, "MUST follow the procedures for the appropriate prior version of
  // TLS".
  if (!hello.compressionMethods.includes(0)) throw new TlsError('bad_compression_methods');
  // RFC 8422 5.1.2: without the uncompressed format "the server MUST abort the handshake and return an
  // illegal_parameter alert".
  if (hello.pointFormats !== undefined && !hello.pointFormats.includes(UNCOMPRESSED_POINT)) {
    throw new TlsError('bad_point_formats');
  }
  // RFC 5746 3.6: "the server MUST then verify that the length of the "renegotiated_connection" field is zero, and if
  // it is not, MUST abort the handshake".
  if (hello.renegotiationInfo !== undefined && hello.renegotiationInfo.length !== 0) {
    throw new TlsError('bad_renegotiation_info');
  }
  checkRecordSizeLimit(hello);
}

/**
 * RFC 5746 4.3: "even servers that do not support renegotiation MUST implement the minimal version of the extension".
 * RFC 5746 3.6: the extension, or the value, which mean the same: "the server MUST check if it includes the
 * TLS_EMPTY_RENEGOTIATION_INFO_SCSV SCSV" and "MUST check if the "renegotiation_info" extension is included".
 */
export function offersSecureRenegotiation(hello: ClientHello): boolean {
  return hello.renegotiationInfo !== undefined || hello.cipherSuites.includes(EMPTY_RENEGOTIATION_INFO_SCSV);
}

export function choose(config: ServerConfig, hello: ClientHello): Choice {
  const suites = commonSuites(config, hello);
  if (suites.length === 0) throw new TlsError('no_common_suite');
  const group = chooseGroup(config, hello);
  const alpn = chooseAlpn(config, hello);
  const { credential, scheme, authentication } = chooseCredential(config, hello, suites);
  // RFC 5246 7.4.2: "MUST be appropriate for the negotiated cipher suite's key exchange algorithm". RFC 8422 2.1:
  // "the server's certificate MUST contain an ECDSA-or EdDSA-capable public key"; RFC 8422 2.2: "MUST contain an RSA
  // public key authorized for signing".
  const suite = suites.find((candidate) => candidate.authentication === authentication);
  if (suite === undefined) throw new TlsError('no_common_suite');
  return { suites, suite, group, credential, scheme, alpn };
}

/**
 * In our order; but a client that puts ChaCha20 first of those we have has no hardware for AES, and gets it where it can
 * (as in TLS 1.3).
 */
function commonSuites(config: ServerConfig, hello: ClientHello): Suite[] {
  const common = (ids: readonly number[], others: readonly number[]): Suite[] => {
    const suites = ids.filter((id) => others.includes(id)).map(suiteById);
    return suites.filter((suite) => suite?.version === TLS12) as Suite[];
  };
  // RFC 5246 7.4.1.2: "the server MUST ignore those cipher suites, and process the remaining ones as usual".
  const suites = common(config.suites, hello.cipherSuites);
  if (!isChaCha(common(hello.cipherSuites, config.suites)[0])) return suites;
  return [...suites.filter(isChaCha), ...suites.filter((suite) => !isChaCha(suite))];
}

function isChaCha(suite: Suite | undefined): boolean {
  return suite?.aead === 0x1303;
}

/**
 * RFC 8422 4 would leave the choice to us where the client does not say; but who does not say may as well not know
 * our curves, and has to be a very old client.
 * RFC 8422 4: "servers MUST NOT negotiate the use of an ECC cipher suite unless they can complete the handshake while
 * respecting the choice of curves"; RFC 8422 5.1: "MUST use the client's enumerated capabilities to guide its
 * selection", else "it MUST NOT negotiate the use of an ECC cipher suite".
 */
function chooseGroup(config: ServerConfig, hello: ClientHello): number {
  for (const group of config.groups) {
    if (isGroupOf12(group) && hello.supportedGroups?.includes(group)) return group;
  }
  throw new TlsError('no_common_group');
}

function chooseCredential(
  config: ServerConfig,
  hello: ClientHello,
  suites: readonly Suite[],
): { readonly credential: Credential; readonly scheme: number; readonly authentication: Authentication } {
  const { serverName } = hello;
  // RFC 5246 7.4.1.4.1: without the extension the client takes SHA-1, which is not made here.
  // RFC 5246 7.4.3: "the server MUST check any candidate cipher suites against the "signature_algorithms" extension
  // before selecting them".
  const signatureSchemes = (hello.signatureAlgorithms ?? []).filter((scheme) => {
    const authentication = authenticationOf(scheme);
    return suites.some((suite) => suite.authentication === authentication);
  });
  if (signatureSchemes.length === 0) throw new TlsError('no_common_signature_scheme');
  const credential = config.selectCredential({
    serverName,
    version: TLS12,
    signatureSchemes,
    groups: hello.supportedGroups,
    // Those that no suite of ours goes with verify certificates all the same.
    certificateSchemes: hello.signatureAlgorithmsCert ?? hello.signatureAlgorithms,
    certificateAuthorities: undefined,
  });
  if (credential === undefined)
    throw new TlsError(serverName === undefined ? 'no_credential' : 'unrecognized_name');
  // RFC 8422 5.3: "A server that cannot satisfy this requirement MUST NOT choose an ECC cipher suite". RFC 5246
  // 7.4.2: "The public key MUST use a curve and point format supported by the client".
  if (!acceptsCurve(hello, credential)) throw new TlsError('no_common_group');
  for (const scheme of credential.schemes12 ?? credential.schemes) {
    const authentication = authenticationOf(scheme);
    if (authentication !== undefined && signatureSchemes.includes(scheme)) {
      return { credential, scheme, authentication };
    }
  }
  throw new TlsError('no_common_signature_scheme');
}

/** SignatureSchemes that name the curve of the key, in TLS 1.3 and so in `Credential.schemes`. */
const CURVE_OF_SCHEME: ReadonlyMap<number, number> = new Map([
  [0x0403, NamedGroup.secp256r1],
  [0x0503, NamedGroup.secp384r1],
]);

/**
 * RFC 8422 5.1: supported_groups is about the certificate's curve too: "The server MUST consider the extensions in
 * both cases."
 */
function acceptsCurve(hello: ClientHello, credential: Credential): boolean {
  return credential.schemes.every((scheme) => {
    const curve = CURVE_OF_SCHEME.get(scheme);
    return curve === undefined || hello.supportedGroups?.includes(curve) === true;
  });
}

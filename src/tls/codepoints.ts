/** Code points of RFC 8446 (appendix B) and the IANA TLS registries, as plain numbers. */

export const ContentType = {
  changeCipherSpec: 20,
  alert: 21,
  handshake: 22,
  applicationData: 23,
} as const;

export const HandshakeType = {
  helloRequest: 0,
  clientHello: 1,
  serverHello: 2,
  newSessionTicket: 4,
  endOfEarlyData: 5,
  encryptedExtensions: 8,
  certificate: 11,
  serverKeyExchange: 12,
  certificateRequest: 13,
  serverHelloDone: 14,
  certificateVerify: 15,
  clientKeyExchange: 16,
  finished: 20,
  certificateStatus: 22,
  keyUpdate: 24,
  messageHash: 254,
} as const;

// RFC 8446 9.2: "a TLS-compliant application MUST implement the following TLS extensions".
export const ExtensionType = {
  serverName: 0,
  maxFragmentLength: 1,
  statusRequest: 5,
  supportedGroups: 10,
  ecPointFormats: 11,
  signatureAlgorithms: 13,
  alpn: 16,
  signedCertificateTimestamp: 18,
  extendedMasterSecret: 23,
  recordSizeLimit: 28,
  sessionTicket: 35,
  preSharedKey: 41,
  earlyData: 42,
  supportedVersions: 43,
  cookie: 44,
  pskKeyExchangeModes: 45,
  certificateAuthorities: 47,
  oidFilters: 48,
  signatureAlgorithmsCert: 50,
  keyShare: 51,
  renegotiationInfo: 0xff01,
} as const;

// RFC 5246 7.2.2: decryption_failed, no_certificate and export_restriction are not among them: "It MUST NOT be sent
// by compliant implementations."
export const AlertDescription = {
  closeNotify: 0,
  unexpectedMessage: 10,
  badRecordMac: 20,
  recordOverflow: 22,
  handshakeFailure: 40,
  badCertificate: 42,
  unsupportedCertificate: 43,
  certificateRevoked: 44,
  certificateExpired: 45,
  certificateUnknown: 46,
  illegalParameter: 47,
  unknownCa: 48,
  accessDenied: 49,
  decodeError: 50,
  decryptError: 51,
  protocolVersion: 70,
  internalError: 80,
  inappropriateFallback: 86,
  userCanceled: 90,
  noRenegotiation: 100,
  missingExtension: 109,
  unsupportedExtension: 110,
  unrecognizedName: 112,
  badCertificateStatusResponse: 113,
  certificateRequired: 116,
  noApplicationProtocol: 120,
} as const;

export const TLS10 = 0x0301;
export const TLS12 = 0x0303;
export const TLS13 = 0x0304;
export const SSL30 = 0x0300;

/** Values in a list of cipher suites that are none (RFC 5746 3.3, RFC 7507 2). */
export const EMPTY_RENEGOTIATION_INFO_SCSV = 0x00ff;
export const FALLBACK_SCSV = 0x5600;

// RFC 8446 9.1: "MUST support key exchange with secp256r1 (NIST P-256)".
export const NamedGroup = { secp256r1: 0x0017, secp384r1: 0x0018, x25519: 0x001d } as const;

/** Elliptic curves alone: of hybrid groups TLS 1.2 knows nothing. */
export function isGroupOf12(group: number): boolean {
  return group === NamedGroup.secp256r1 || group === NamedGroup.secp384r1 || group === NamedGroup.x25519;
}

/** Bytes of the random of a hello. */
export const HELLO_RANDOM = 32;
/** The end of the random of a server that knows TLS 1.3 and speaks TLS 1.2 (RFC 8446 4.1.3). */
export const DOWNGRADE_TO_12 = Uint8Array.of(0x44, 0x4f, 0x57, 0x4e, 0x47, 0x52, 0x44, 0x01);

/** ECPointFormat (RFC 8422 5.1.2). */
export const UNCOMPRESSED_POINT = 0;

/** TLSPlaintext.fragment at most (RFC 8446 5.1). */
export const MAX_PLAINTEXT = 1 << 14;
/**
 * RFC 8449 4: of a TLS 1.3 record the limit counts the content type as well. RFC 8449 4: "an endpoint MUST NOT send a
 * value higher than the protocol-defined maximum record size".
 */
export const OWN_RECORD_SIZE_LIMIT = MAX_PLAINTEXT + 1;
/** RFC 8449 4: "Endpoints MUST NOT send a "record_size_limit" extension with a value smaller than 64." */
export const MIN_RECORD_SIZE_LIMIT = 64;
/** TLSCiphertext.encrypted_record at most (RFC 8446 5.2). */
export const MAX_CIPHERTEXT = MAX_PLAINTEXT + 256;
/** TLSCiphertext.length at most in TLS 1.2 (RFC 5246 6.2.3). */
export const MAX_CIPHERTEXT_12 = MAX_PLAINTEXT + 2048;
export const RECORD_HEADER = 5;
export const HANDSHAKE_HEADER = 4;
/** Finished.verify_data in TLS 1.2 (RFC 5246 7.4.9). */
export const VERIFY_DATA_12 = 12;

/**
 * SignatureSchemes that may sign a TLS 1.3 CertificateVerify (RFC 8446 4.2.3): no PKCS#1 v1.5, no SHA-1. RFC 8446
 * 4.4.3: "RSA signatures MUST use an RSASSA-PSS algorithm", "The SHA-1 algorithm MUST NOT be used in any signatures
 * of CertificateVerify messages."
 */
const SIGNATURE_SCHEMES_13 = new Set([
  0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b,
]);

export function signsIn13(scheme: number): boolean {
  return SIGNATURE_SCHEMES_13.has(scheme);
}

/** SignatureSchemes of TLS 1.2 (RFC 5246 7.4.1.4.1, RFC 8446 4.2.3) by what signs: no SHA-1. */
const ECDSA_SCHEMES_12 = new Set([0x0403, 0x0503, 0x0603, 0x0807]);
// RFC 8446 4.2.3: with PSS: "MUST be prepared to accept a signature using that scheme even when TLS 1.2 is
// negotiated".
const RSA_SCHEMES_12 = new Set([0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0401, 0x0501, 0x0601]);

/** What signs the key exchange of a TLS 1.2 suite; Ed25519 belongs to the ECDSA ones (RFC 8422 2.2). */
export type Authentication = 'ecdsa' | 'rsa';

/** What a TLS 1.2 suite must say for a signature of this scheme; undefined: not a scheme of TLS 1.2. */
export function authenticationOf(scheme: number): Authentication | undefined {
  if (ECDSA_SCHEMES_12.has(scheme)) return 'ecdsa';
  return RSA_SCHEMES_12.has(scheme) ? 'rsa' : undefined;
}

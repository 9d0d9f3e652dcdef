/**
 * What can go wrong in a handshake, one reason per misbehaviour, and the only place where a reason becomes
 * an alert (RFC 8446 section 6.2 and the sentences cited where each reason is raised).
 * RFC 8446 6.2: "MUST send alert X if it sends any alert". RFC 8446 6: "a message which is syntactically correct but
 * semantically invalid … MUST terminate the connection with an "illegal_parameter" alert".
 */
import { AlertDescription as Alert } from './codepoints.ts';

/** `undefined`: the peer has ended the connection itself, so no alert answers it. */
const ALERT_OF_REASON = {
  // records
  not_tls: Alert.unexpectedMessage,
  wrong_record_version: Alert.protocolVersion,
  unknown_content_type: Alert.unexpectedMessage,
  record_too_long: Alert.recordOverflow,
  plaintext_too_long: Alert.recordOverflow,
  record_did_not_decrypt: Alert.badRecordMac,
  record_without_content_type: Alert.unexpectedMessage,
  empty_handshake_fragment: Alert.unexpectedMessage,
  plaintext_alert: Alert.unexpectedMessage,
  plaintext_handshake_record: Alert.unexpectedMessage,
  application_data_in_handshake: Alert.unexpectedMessage,
  record_between_handshake_fragments: Alert.unexpectedMessage,
  bad_change_cipher_spec: Alert.unexpectedMessage,
  unexpected_change_cipher_spec: Alert.unexpectedMessage,
  encrypted_change_cipher_spec: Alert.unexpectedMessage,
  too_many_change_cipher_specs: Alert.unexpectedMessage,
  too_much_early_data: Alert.unexpectedMessage,
  malformed_alert: Alert.decodeError,
  empty_alert: Alert.unexpectedMessage,
  bad_alert_level: Alert.illegalParameter,
  too_many_warning_alerts: Alert.unexpectedMessage,
  record_sequence_exhausted: Alert.internalError,
  // handshake messages as such
  handshake_bytes_before_key_change: Alert.unexpectedMessage,
  unexpected_handshake_message: Alert.unexpectedMessage,
  handshake_message_too_long: Alert.decodeError,
  handshake_too_long: Alert.decodeError,
  truncated_message: Alert.decodeError,
  trailing_data: Alert.decodeError,
  bad_list_length: Alert.decodeError,
  // ClientHello
  bad_session_id: Alert.decodeError,
  bad_compression_methods: Alert.illegalParameter,
  ssl30_offered: Alert.protocolVersion,
  no_common_version: Alert.protocolVersion,
  inappropriate_fallback: Alert.inappropriateFallback,
  resumption_with_other_suite: Alert.illegalParameter,
  resumption_without_extended_master_secret: Alert.handshakeFailure,
  bad_curve_type: Alert.illegalParameter,
  session_id_of_nothing: Alert.illegalParameter,
  bad_point_formats: Alert.illegalParameter,
  bad_renegotiation_info: Alert.handshakeFailure,
  duplicate_extension: Alert.decodeError,
  missing_key_share: Alert.missingExtension,
  missing_supported_groups: Alert.missingExtension,
  missing_signature_algorithms: Alert.missingExtension,
  missing_psk_key_exchange_modes: Alert.missingExtension,
  pre_shared_key_not_last: Alert.illegalParameter,
  psk_without_binder: Alert.illegalParameter,
  bad_binder: Alert.decryptError,
  bad_record_size_limit: Alert.illegalParameter,
  bad_cookie: Alert.illegalParameter,
  missing_cookie: Alert.missingExtension,
  duplicate_server_name: Alert.illegalParameter,
  bad_server_name: Alert.illegalParameter,
  duplicate_key_share: Alert.illegalParameter,
  key_share_for_unsupported_group: Alert.illegalParameter,
  bad_key_share: Alert.illegalParameter,
  no_common_suite: Alert.handshakeFailure,
  no_common_group: Alert.handshakeFailure,
  no_common_signature_scheme: Alert.handshakeFailure,
  no_credential: Alert.handshakeFailure,
  unrecognized_name: Alert.unrecognizedName,
  no_common_alpn: Alert.noApplicationProtocol,
  second_hello_differs: Alert.illegalParameter,
  second_hello_without_requested_share: Alert.illegalParameter,
  early_data_in_second_hello: Alert.illegalParameter,
  // ServerHello and the other answers to a client
  bad_legacy_version: Alert.illegalParameter,
  version_not_offered: Alert.protocolVersion,
  bad_selected_version: Alert.illegalParameter,
  downgrade_detected: Alert.illegalParameter,
  session_id_not_echoed: Alert.illegalParameter,
  suite_not_offered: Alert.illegalParameter,
  bad_compression_method: Alert.illegalParameter,
  extension_not_offered: Alert.unsupportedExtension,
  extension_in_wrong_message: Alert.illegalParameter,
  duplicate_extension_in_retry: Alert.illegalParameter,
  duplicate_extension_in_ticket: Alert.illegalParameter,
  retry_changes_nothing: Alert.illegalParameter,
  retry_for_bad_group: Alert.illegalParameter,
  second_hello_retry: Alert.unexpectedMessage,
  hello_differs_from_retry: Alert.illegalParameter,
  psk_not_offered: Alert.illegalParameter,
  psk_of_another_hash: Alert.illegalParameter,
  psk_without_key_share: Alert.illegalParameter,
  key_share_not_offered: Alert.illegalParameter,
  alpn_not_offered: Alert.illegalParameter,
  bad_certificate_status: Alert.decodeError,
  bad_request_context: Alert.illegalParameter,
  empty_certificate: Alert.decodeError,
  no_client_certificate: Alert.certificateRequired,
  no_client_certificate_12: Alert.handshakeFailure,
  malformed_certificate: Alert.decodeError,
  unsupported_certificate_key: Alert.unsupportedCertificate,
  scheme_not_offered: Alert.illegalParameter,
  scheme_does_not_fit_key: Alert.illegalParameter,
  bad_signature: Alert.decryptError,
  // Finished and after
  bad_finished_length: Alert.decryptError,
  bad_finished: Alert.decryptError,
  bad_key_update: Alert.decodeError,
  bad_key_update_request: Alert.illegalParameter,
  // the peer's certificate, as the caller sees it
  certificate_bad: Alert.badCertificate,
  certificate_unsupported: Alert.unsupportedCertificate,
  certificate_revoked: Alert.certificateRevoked,
  certificate_expired: Alert.certificateExpired,
  certificate_unknown: Alert.certificateUnknown,
  certificate_unknown_issuer: Alert.unknownCa,
  certificate_refused: Alert.accessDenied,
  certificate_not_accepted: Alert.handshakeFailure,
  certificate_status_refused: Alert.badCertificateStatusResponse,
  // application data
  unprotected_record: Alert.unexpectedMessage,
  no_progress: Alert.unexpectedMessage,
  key_usage_exhausted: Alert.closeNotify,
  renegotiation: Alert.noRenegotiation,
  // the peer's doing, or ours
  // RFC 5246 7.2.1: "The other party MUST respond with a close_notify alert of its own and close down the
  // connection".
  peer_closed: Alert.closeNotify,
  peer_alert: undefined,
  truncated: undefined,
  internal_error: Alert.internalError,
} as const satisfies Record<string, number | undefined>;

export type Reason = keyof typeof ALERT_OF_REASON;

/** Every reason there is, for tests and metrics. */
export const REASONS = Object.keys(ALERT_OF_REASON) as readonly Reason[];

/** The alert that answers a reason; undefined: none is sent. */
export function alertFor(reason: Reason): number | undefined {
  return ALERT_OF_REASON[reason];
}

/** A peer's (or, for `internal_error`, our own) fault. The message is the reason: never bytes from the wire. */
export class TlsError extends Error {
  readonly reason: Reason;
  /** `ERR_SOCRYPT_TLS_` and the reason in capitals; stable. */
  readonly code: string;
  /** The AlertDescription a peer has sent (`peer_alert`), undefined otherwise. */
  readonly received: number | undefined;

  constructor(reason: Reason, received?: number) {
    super(received === undefined ? reason : `${reason} ${received}`);
    this.name = 'TlsError';
    this.reason = reason;
    this.code = `ERR_SOCRYPT_TLS_${reason.toUpperCase()}`;
    this.received = received;
  }
}

/** What was thrown, as a TlsError: anything unknown is our own fault, and says nothing to the peer about it. */
export function asTlsError(thrown: unknown): TlsError {
  return thrown instanceof TlsError ? thrown : new TlsError('internal_error');
}

/** TLS, sans-IO. Its parts are private; this is what the control plane uses. */
export { alertFor, REASONS, type Reason, TlsError } from './alerts.ts';
export type {
  CertificateRefusal,
  Credential,
  Exporter,
  HandshakeEvent,
  HandshakeInfo,
  KeyLog,
} from './api.ts';
export type { CertificateRequest, ClientConfig } from './client/api.ts';
export { ClientHandshake } from './client/client-handshake.ts';
export type { ConnectionEvent, ConnectionOptions } from './connection/api.ts';
export { TlsConnection } from './connection/tls-connection.ts';
export type { CryptoProvider, EphemeralKey, HashName } from './crypto-provider.ts';
export { PostHandshake, type PostHandshakeEvent, type TxUpdate } from './post-handshake.ts';
export type { ClientAuthentication, ClientOffer, ServerConfig } from './server/api.ts';
export { ServerHandshake } from './server/server-handshake.ts';
export { versionsOf } from './suites.ts';
export { type TrafficSecret, type UpdateSecrets, wipe } from './traffic.ts';

import { TlsError } from '../alerts.ts';
import { copyBytes } from '../bytes.ts';
import { signatureInput, writeCertificate } from '../codec/certificate.ts';
import { writeEncryptedExtensions } from '../codec/encrypted-extensions.ts';
import type { KeyShareEntry } from '../codec/extensions.ts';
import { writeServerHello } from '../codec/server-hello.ts';
import { TLS13 } from '../codepoints.ts';
import type { Aligned } from '../handshake-joiner.ts';
import { EarlySecret } from '../schedule/key-schedule.ts';
import type { Suite } from '../suites.ts';
import type { Transcript } from '../transcript.ts';
import { AwaitSignature } from './await-signature.ts';
import { chooseAlpn, chooseCredential, type Offer } from './negotiate.ts';
import type { Connection, ServerState } from './state.ts';

export interface Accepted {
  readonly offer: Offer;
  readonly suite: Suite;
  readonly share: KeyShareEntry;
  /** Ends with the ClientHello that is answered. */
  readonly transcript: Transcript;
  readonly helloRetry: boolean;
  readonly aligned: Aligned;
}

/**
 * Answers a ClientHello that can be answered: ServerHello to Certificate, up to the signature. All choices
 * come before the first key is made, so that a hello that is refused costs no curve arithmetic.
 */
export function respond(connection: Connection, accepted: Accepted): ServerState {
  connection.version = TLS13;
  const { config, provider } = connection;
  const { offer, suite, share, transcript } = accepted;
  const { hello } = offer;
  const alpn = chooseAlpn(config, hello);
  const { credential, scheme } = chooseCredential(config, offer);
  const exchanged = provider.keyShare(share.group, share.key);
  if (exchanged === null) throw new TlsError('bad_key_share');

  const { writer } = transcript;
  const helloAt = writer.length;
  writeServerHello(writer, {
    random: provider.randomBytes(32),
    sessionId: hello.sessionId,
    suite: suite.id,
    group: share.group,
    publicKey: exchanged.publicKey,
  });
  const flight: Uint8Array[] = [];
  // A copy, since the transcript grows below this view.
  connection.writeHandshake(copyBytes(writer.view(helloAt)), flight);
  connection.writeCompatibilityChangeCipherSpec(hello.sessionId, flight);

  const secret = new EarlySecret(provider, suite).handshake(exchanged.sharedSecret, transcript.hash());
  connection.reader.install(secret.client.keys(), accepted.aligned);

  const protectedAt = writer.length;
  writeEncryptedExtensions(writer, { alpn, acknowledgesServerName: hello.serverName !== undefined });
  writeCertificate(writer, credential.chain);
  connection.emit({
    type: 'sign',
    credential,
    scheme,
    data: signatureInput('server', transcript.hash()),
  });
  return new AwaitSignature({
    secret,
    transcript,
    protectedAt,
    flight,
    info: {
      version: connection.version,
      suite: suite.id,
      group: share.group,
      alpn,
      serverName: hello.serverName,
      scheme,
      helloRetry: accepted.helloRetry,
    },
  });
}

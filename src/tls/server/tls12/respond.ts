import { copyBytes, joinBytes } from '../../bytes.ts';
import type { ClientHello } from '../../codec/client-hello.ts';
import { writeCertificate12 } from '../../codec/tls12/certificate.ts';
import { writeServerHello12 } from '../../codec/tls12/hello.ts';
import { encodeEcdhParams } from '../../codec/tls12/key-exchange.ts';
import { MAX_PLAINTEXT, TLS12 } from '../../codepoints.ts';
import { Transcript } from '../../transcript.ts';
import type { Connection, ServerState } from '../state.ts';
import type { Agreed } from './agreed.ts';
import { AwaitKeyExchangeSignature } from './await-key-exchange-signature.ts';
import { checkHello, choose, offersSecureRenegotiation } from './negotiate.ts';
import { serverRandom } from './server-random.ts';

/** Room for our messages and the client's, a chain of usual length included. */
const TRANSCRIPT_BYTES = 4096;

/**
 * Answers a ClientHello in TLS 1.2 (RFC 5246 7.3): ServerHello and Certificate, up to the signature of the key
 * exchange. `message`: the whole of it, as it came.
 */
export function respond12(connection: Connection, hello: ClientHello, message: Uint8Array): ServerState {
  connection.version = TLS12;
  const { config, provider } = connection;
  checkHello(hello);
  const { suite, group, credential, scheme, alpn } = choose(config, hello);
  const randoms = { client: copyBytes(hello.random), server: serverRandom(config, provider) };
  const extendedMasterSecret = hello.offersExtendedMasterSecret;

  const transcript = new Transcript(provider, suite.hash, message.length + TRANSCRIPT_BYTES);
  transcript.add(message);
  const { writer } = transcript;
  const flightAt = writer.length;
  writeServerHello12(writer, {
    random: randoms.server,
    sessionId: NO_SESSION,
    suite: suite.id,
    acknowledgesServerName: hello.serverName !== undefined,
    alpn,
    extendedMasterSecret,
    secureRenegotiation: offersSecureRenegotiation(hello),
    pointFormats: hello.pointFormats !== undefined,
    sessionTicket: false,
  });
  writeCertificate12(writer, credential.chain);

  const key = provider.generateKeyShare(group);
  const params = encodeEcdhParams(group, key.publicKey);
  connection.emit({
    type: 'sign',
    credential,
    scheme,
    // RFC 8422 5.4: the randoms keep a signature from being used in another handshake.
    data: joinBytes([randoms.client, randoms.server, params]),
  });
  const agreed: Agreed = {
    suite,
    randoms,
    extendedMasterSecret,
    transcript,
    info: {
      version: TLS12,
      suite: suite.id,
      group,
      alpn,
      serverName: hello.serverName,
      scheme,
      helloRetry: false,
      resumption: 'none',
      tickets: 0,
      peerCertificates: [],
      maxFragment: MAX_PLAINTEXT,
    },
  };
  return new AwaitKeyExchangeSignature({ agreed, flightAt, key, params });
}

/** RFC 5246 7.4.1.3: an empty session_id says that the session cannot be resumed by one. */
const NO_SESSION = new Uint8Array(0);

/** The client's own flight, once the server's Finished is right: who we are, if that was asked, and our Finished. */
import { TlsError } from '../alerts.ts';
import type { Credential } from '../api.ts';
import { signatureInput, writeCertificate, writeCertificateVerify } from '../codec/certificate.ts';
import { writeFinished } from '../codec/finished.ts';
import { signsIn13, TLS13 } from '../codepoints.ts';
import type { Aligned } from '../handshake-joiner.ts';
import type { FinishedVerified } from '../schedule/traffic-secret.ts';
import { encodeSessionFacts } from '../session/client-session.ts';
import { Closed } from '../state.ts';
import { packUpdateState, trafficSecret } from '../traffic.ts';
import type { CertificateRequest } from './api.ts';
import { MAX_TICKETS, packClientUpdates } from './client-updates.ts';
import { ProtectedState, type Proven } from './progress.ts';
import type { ClientState, Connection } from './state.ts';

interface Finishing extends Proven {
  /** ClientHello to the server's Finished. */
  readonly transcriptHash: Uint8Array;
  /** Where in the transcript our flight begins. */
  readonly flightAt: number;
  readonly verified: FinishedVerified;
  readonly aligned: Aligned;
}

export function authenticate(
  connection: Connection,
  progress: Proven,
  verified: FinishedVerified,
  aligned: Aligned,
): ClientState {
  const { transcript, request } = progress;
  const { writer } = transcript;
  const finishing: Finishing = {
    ...progress,
    transcriptHash: transcript.hash(),
    flightAt: writer.length,
    verified,
    aligned,
  };
  // RFC 8446 4.4.2: "The client MUST send a Certificate message if and only if the server has requested client
  // authentication".
  if (request === undefined) return finish(connection, finishing);

  const credential = connection.config.selectCredential(request);
  // RFC 8446 4.4.2: without a suitable one "the client MUST send a Certificate message containing no certificates".
  writeCertificate(writer, credential?.chain ?? []);
  // RFC 8446 4.4.2: "A Finished message MUST be sent regardless of whether the Certificate message is empty."
  if (credential === undefined) return finish(connection, finishing);
  const scheme = chooseScheme(credential, request);
  const data = signatureInput('client', transcript.hash());
  connection.emit({ type: 'sign', credential, scheme, data });
  return new AwaitSignature(finishing, scheme);
}

function chooseScheme(credential: Credential, request: CertificateRequest): number {
  for (const scheme of credential.schemes) {
    if (signsIn13(scheme) && request.signatureSchemes.includes(scheme)) return scheme;
  }
  throw new TlsError('no_common_signature_scheme');
}

class AwaitSignature extends ProtectedState<Finishing> {
  readonly name = 'AwaitSignature';
  readonly #scheme: number;

  constructor(progress: Finishing, scheme: number) {
    super(progress);
    this.#scheme = scheme;
  }

  // RFC 8446 4.4.3: "Clients MUST send this message whenever authenticating via a certificate"; RFC 8446 4.4.3: "this
  // message MUST appear immediately after the Certificate message and immediately prior to the Finished message".
  sign(signature: Uint8Array, connection: Connection): ClientState {
    writeCertificateVerify(this.progress.transcript.writer, this.#scheme, signature);
    return finish(connection, this.progress);
  }
}

function finish(connection: Connection, finishing: Finishing): ClientState {
  const { secret, transcript, flightAt, offer } = finishing;
  const { writer } = transcript;
  writeFinished(writer, secret.client.finished(transcript.hash()));
  const parts: Uint8Array[] = [];
  connection.writeHandshake(writer.view(flightAt), parts);
  connection.send(parts);

  const { client, server, exporter, master } = secret.application(finishing.transcriptHash);
  const resumption = master.resumption(transcript.hash());
  connection.emit({
    type: 'established',
    tx: trafficSecret(client, 0),
    rx: trafficSecret(server, 0),
    info: {
      version: connection.version,
      suite: finishing.suite.id,
      group: finishing.group,
      alpn: finishing.alpn,
      serverName: offer.config.serverName,
      scheme: finishing.scheme,
      helloRetry: finishing.helloRetry,
      resumption: finishing.resumption,
      tickets: 0,
      peerCertificates: finishing.presented.chain,
      maxFragment: finishing.maxFragment,
    },
    leftover: connection.reader.takeRest(),
    update: packClientUpdates(
      packUpdateState({ rx: server, tx: client, rxEpoch: 0, txEpoch: 0, partial: NOTHING }),
      { resumption, facts: factsOf(finishing), ticketsLeft: MAX_TICKETS },
      NOTHING,
    ),
    // The caller's to wipe from here on.
    exporter,
  });
  resumption.wipe();
  secret.wipe();
  client.wipe();
  server.wipe();
  connection.wipe();
  return new Closed();
}

/** What sessions of this connection have in common; nothing: the server has shown too much of itself to be kept. */
function factsOf({ suite, scheme, alpn, offer, presented }: Finishing): Uint8Array {
  const { serverName } = offer.config;
  return (
    encodeSessionFacts({ version: TLS13, suite: suite.id, scheme, serverName, alpn, ...presented }) ?? NOTHING
  );
}

const NOTHING = new Uint8Array(0);

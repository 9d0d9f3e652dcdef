/**
 * A control worker: the handshakes of some engines, in a thread of their own. It owns nothing that is not given back
 * when it ends, however it ends: the engines notice by themselves, and private keys are shares of the main thread's.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { native } from '../native.ts';
import { HandshakeLink } from '../plane/handshake-link.ts';
import { Credential, CredentialStore, type SharedCredential } from './credential-store.ts';
import { HandshakeControl } from './handshake-control.ts';
import { nativeCryptoProvider } from './native-crypto-provider.ts';
import { SharedCounters } from './shared-counters.ts';
import { wipeSecrets } from './tickets/ticket-sealer.ts';
import type { FromWorker, ToWorker, WorkerStart } from './worker-messages.ts';

const port = parentPort!;
const say = (message: FromWorker): void => port.postMessage(message);

function storeOf(shared: readonly SharedCredential[]): CredentialStore {
  return new CredentialStore(
    shared.map((one) => new Credential(one, native.crypto.sharedPrivateKey(one.keyHandle))),
  );
}

const { options, credentials, counters } = workerData as WorkerStart;
const handshakes = new HandshakeControl(
  storeOf(credentials),
  nativeCryptoProvider(native.crypto),
  options,
  new SharedCounters(counters),
);
wipeSecrets(options.sessions.secrets);
const links: HandshakeLink[] = [];

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'attach':
      for (const channel of message.channels) links.push(new HandshakeLink(channel, handshakes));
      break;
    case 'credentials':
      handshakes.setCredentials(storeOf(message.credentials), message.clients);
      say({ type: 'taken', id: message.id });
      break;
    case 'ticketSecrets':
      handshakes.setTicketSecrets(message.secrets);
      wipeSecrets(message.secrets);
      break;
    case 'close':
      for (const link of links) link.close();
      port.close();
      break;
  }
});
say({ type: 'ready' });

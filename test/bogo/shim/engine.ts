/** From the runner's flags to the configuration of the connection under test. */
import { nativeCryptoProvider } from '../../../src/control/native-crypto-provider.ts';
import { TicketSealer } from '../../../src/control/tickets/ticket-sealer.ts';
import { native } from '../../../src/native.ts';
import { readSctList } from '../../../src/tls/codec/certificate-status.ts';
import { Reader } from '../../../src/tls/codec/reader.ts';
import {
  type CertificateRequest,
  type ClientAuthentication,
  type ClientConfig,
  type ClientOffer,
  type ServerConfig,
  TlsConnection,
} from '../../../src/tls/index.ts';
import type { SessionCache } from '../../../src/tls/session/cache.ts';
import type { SessionTickets } from '../../../src/tls/session/index.ts';
import type { CredentialOptions, Options } from './flags.ts';
import { loadCredential, type ShimCredential } from './keys.ts';
import { Refused } from './refused.ts';

export const provider = nativeCryptoProvider(native.crypto);

const VERSIONS = [0x0304, 0x0303] as const;
const SUITES = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8];
const GROUPS = [0x001d, 0x0017, 0x0018];
/** BoringSSL's default, which the runner expects: Ed25519 is not among them. */
const VERIFY_SCHEMES = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
/** BoringSSL's default bound of a certificate list is 100 KB; the runner sends others of up to 64 KB. */
const MAX_HANDSHAKE_BYTES = 128 * 1024;

/** What the exchange learns from the engine's questions. */
export interface Observed {
  offer: ClientOffer | undefined;
  request: CertificateRequest | undefined;
  credential: ShimCredential | undefined;
  /** A session of this connection has been kept by its id. */
  sessionCached: boolean;
  /** Of the connection before, for a client to resume. */
  readonly offeredSession: Uint8Array | undefined;
  /** A hook of the test has thrown, as it was told to. */
  hookFailed: boolean;
}

export function credentialsOf(options: Options): ShimCredential[] {
  const credentials: ShimCredential[] = [];
  for (const [index, flags] of [...options.credentials, options].entries()) {
    const loaded = loadCredential(flags, index < options.credentials.length ? index : -1);
    if (loaded !== undefined) credentials.push({ ...loaded, ...staples(flags, options) });
  }
  return credentials;
}

/** What goes with a certificate. With -use-ocsp-callback a hook decides on the response in each handshake. */
function staples(
  flags: CredentialOptions,
  options: Options,
): Pick<ShimCredential, 'ocspResponse' | 'sctList'> {
  const sctList = flags['signed-cert-timestamps'];
  if (sctList !== undefined) {
    try {
      readSctList(new Reader(sctList));
    } catch {
      throw new Refused('the SCT list of a credential is malformed');
    }
  }
  const withheld = options['decline-ocsp-callback'] === true;
  return { ocspResponse: withheld ? undefined : flags['ocsp-response'], sctList };
}

function versionsOf(options: Options): number[] {
  const minimum = options['min-version'] ?? 0;
  const maximum = options['max-version'] ?? 0xffff;
  return VERSIONS.filter(
    (version) =>
      version >= minimum &&
      version <= maximum &&
      !(version === 0x0304 && options['no-tls13']) &&
      !(version === 0x0303 && options['no-tls12']),
  );
}

/** One protocol name of a byte string, as the engine has it: one character is one byte. */
export const protocolName = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

export function protocolNames(list: Buffer): string[] {
  const names: string[] = [];
  for (let at = 0; at < list.length; at += 1 + list[at]!) {
    names.push(protocolName(list.subarray(at + 1, at + 1 + list[at]!)));
  }
  return names;
}

/** What a server answers with: the one name it is told, which may be one that no client offers. */
function selectedProtocols(options: Options): string[] {
  if (options['reject-alpn']) return ['rejected by the test'];
  const selected = options['select-alpn'];
  return selected === undefined || options['decline-alpn'] ? [] : [protocolName(selected)];
}

export function createConnection(options: Options, observed: Observed): TlsConnection {
  return options.server ? server(options, observed) : client(options, observed);
}

function common(options: Options) {
  return {
    versions: versionsOf(options),
    suites: SUITES,
    groups: options.curves?.filter((group) => GROUPS.includes(group)) ?? GROUPS,
    maxHandshakeBytes: options['max-cert-list'] ?? MAX_HANDSHAKE_BYTES,
  };
}

function hookFailure(observed: Observed): Error {
  observed.hookFailed = true;
  return new Error('a hook of the test fails');
}

/** ms since the epoch; moved on by -resumption-delay alone, since the runner compares ages to the millisecond. */
let clock = Date.now();

export function advanceClock(seconds: number): void {
  clock += seconds * 1000;
}

/** The keys of all connections of this process, which resume each other's sessions. */
const sealer = new TicketSealer(
  provider,
  { current: provider.randomBytes(32), next: [], previous: [] },
  () => clock,
);
const tickets: SessionTickets = {
  now: sealer.now,
  seal: (purpose, plaintext) => sealer.seal(purpose, plaintext),
  open: (purpose, sealed) => sealer.open(purpose, sealed),
  claim: () => true,
  count: 2,
  lifetime: 172_800,
};

/** Of all connections, by session id. */
const sessions = new Map<string, Uint8Array>();

function sessionCache(observed: Observed): SessionCache {
  const key = (id: Uint8Array) => Buffer.from(id).toString('hex');
  return {
    now: sealer.now,
    lifetime: tickets.lifetime,
    store(id, state) {
      observed.sessionCached = true;
      sessions.set(key(id), state);
    },
    find: (id) => sessions.get(key(id))?.slice(),
  };
}

/** `HEX,HEX` of distinguished names, or a word for none. */
function distinguishedNames(list: string | undefined): Buffer[] {
  if (list === undefined || list.startsWith('<')) return [];
  return list.split(',').map((name) => Buffer.from(name, 'hex'));
}

/** -verify-peer takes a client that has no certificate, -require-any-client-certificate does not. */
function clientAuthentication(options: Options): ClientAuthentication | undefined {
  if (!options['verify-peer'] && !options['require-any-client-certificate']) return undefined;
  return {
    required: options['require-any-client-certificate'] === true && !options['verify-peer'],
    schemes: options['verify-prefs'] ?? VERIFY_SCHEMES,
    authorities: distinguishedNames(options['use-client-ca-list']),
  };
}

function server(options: Options, observed: Observed): TlsConnection {
  const credentials = credentialsOf(options);
  const config: ServerConfig = {
    ...common(options),
    alpn: selectedProtocols(options),
    tickets: options['no-ticket'] ? undefined : tickets,
    sessionCache: sessionCache(observed),
    clientAuthentication: clientAuthentication(options),
    selectCredential(offer) {
      observed.offer = offer;
      // In a caller's hook anything may go wrong; it is no fault of the client.
      if (options['fail-ddos-callback'] || options['fail-cert-callback'] || options['fail-ocsp-callback']) {
        throw hookFailure(observed);
      }
      return choose(credentials, offer.signatureSchemes) ?? credentials.at(-1);
    },
  };
  return TlsConnection.server(config, provider);
}

function client(options: Options, observed: Observed): TlsConnection {
  const credentials = credentialsOf(options);
  const shared = common(options);
  const config: ClientConfig = {
    ...shared,
    serverName: options['host-name'],
    alpn: options['advertise-alpn'] === undefined ? [] : protocolNames(options['advertise-alpn']),
    signatureSchemes: options['verify-prefs'] ?? VERIFY_SCHEMES,
    keyShareGroups: options['no-key-shares'] ? [] : (options['key-shares'] ?? shared.groups.slice(0, 1)),
    requestOcsp: options['enable-ocsp-stapling'] ?? false,
    requestScts: options['enable-signed-cert-timestamps'] ?? false,
    certificateAuthorities: [],
    compatibilityMode: true,
    session: observed.offeredSession,
    now: sealer.now,
    selectCredential(request) {
      observed.request = request;
      if (options['fail-cert-callback']) throw hookFailure(observed);
      return choose(credentials, request.signatureSchemes) ?? credentials.at(-1);
    },
  };
  return TlsConnection.client(config, provider);
}

function choose(
  credentials: readonly ShimCredential[],
  schemes: readonly number[],
): ShimCredential | undefined {
  return credentials.find((credential) => credential.schemes.some((scheme) => schemes.includes(scheme)));
}

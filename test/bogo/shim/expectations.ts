/** The -expect-* flags: each is checked, or the test fails. */
import type { ConnectionEvent } from '../../../src/tls/index.ts';
import type { Observed } from './engine.ts';
import { protocolName } from './engine.ts';
import type { Established } from './exchange.ts';
import type { Options } from './flags.ts';
import { readCertificates } from './keys.ts';

export class ExpectationFailed extends Error {
  constructor(what: string, expected: unknown, came: unknown) {
    super(`expected ${what} ${String(expected)}, came ${String(came)}`);
  }
}

function equal(what: string, expected: unknown, came: unknown): void {
  if (expected !== came) throw new ExpectationFailed(what, expected, came);
}

/** As `equal`, where the flag was given. */
function wanted(what: string, expected: unknown, came: unknown): void {
  if (expected !== undefined) equal(what, expected, came);
}

export function checkEstablished(
  options: Options,
  { info }: Established,
  observed: Observed,
  isResumption: boolean,
): void {
  equal('resumption', isResumption && !options['expect-session-miss'], info.resumption === 'resumed');
  wanted('version', options['expect-version'], info.version);
  wanted('suite', options['expect-cipher'], info.suite);
  wanted('suite', options['expect-cipher-aes'], info.suite);
  wanted('group', options['expect-curve-id'], info.group);
  if (options['expect-hrr']) equal('HelloRetryRequest', true, info.helloRetry);
  if (options['expect-no-hrr']) equal('HelloRetryRequest', false, info.helloRetry);
  const expectsPeer = !options.server || options['require-any-client-certificate'] === true;
  if (expectsPeer && !options['expect-no-peer-cert'] && info.peerCertificates.length === 0) {
    throw new ExpectationFailed("peer's certificate", 'one', 'none');
  }
  const file = options['expect-peer-cert-file'];
  if (file !== undefined) sameChain(readCertificates(file), info.peerCertificates);
  if (!options.server) wanted("peer's scheme", options['expect-peer-signature-algorithm'], info.scheme);
  if (options['expect-client-ca-list'] !== undefined) {
    const names = (observed.request?.certificateAuthorities ?? []).map((name) =>
      Buffer.from(name).toString('hex'),
    );
    equal('certificate authorities', options['expect-client-ca-list'].replace(/^<.*>$/, ''), names.join(','));
  }
  const prefs = options['expect-peer-verify-pref'];
  if (prefs !== undefined) {
    const came = options.server ? observed.offer?.signatureSchemes : observed.request?.signatureSchemes;
    equal("peer's schemes", prefs.join(), came?.join());
  }
  wanted('server name', options['expect-server-name'], info.serverName);
  if (options['expect-no-server-name']) equal('server name', undefined, info.serverName);
  const alpn = options.server ? options['select-alpn'] : options['expect-alpn'];
  equal('ALPN', alpn === undefined ? undefined : protocolName(alpn), info.alpn);
  wanted('credential', options['expect-selected-credential'], observed.credential?.index);
}

function sameChain(expected: readonly Uint8Array[], came: readonly Uint8Array[]): void {
  const hex = (chain: readonly Uint8Array[]) => chain.map((der) => Buffer.from(der).toString('hex')).join();
  if (hex(expected) !== hex(came)) throw new ExpectationFailed("peer's chain", expected.length, came.length);
}

function sameBytes(what: string, expected: Buffer | undefined, came: Uint8Array | undefined): void {
  if (expected === undefined) return;
  const hex = came === undefined ? 'nothing' : Buffer.from(came).toString('hex');
  equal(what, expected.toString('hex'), hex);
}

/** What the peer has sent with its certificate. */
export function checkPeer(options: Options, event: Extract<ConnectionEvent, { type: 'verify' }>): void {
  if (event.scheme !== undefined)
    wanted("peer's scheme", options['expect-peer-signature-algorithm'], event.scheme);
  sameBytes('OCSP response', options['expect-ocsp-response'], event.ocspResponse);
  sameBytes('SCT list', options['expect-signed-cert-timestamps'], event.sctList);
}

/** At the end of a connection: whether the client has been given a session. */
export function checkSession(
  options: Options,
  { info }: Established,
  isResumption: boolean,
  got: { readonly ticket: boolean; readonly cached: boolean },
): void {
  if (options.server) {
    if (!isResumption && options['expect-session-id']) equal('session kept by its id', true, got.cached);
    if (!isResumption && options['expect-no-session-id']) equal('session kept by its id', false, got.cached);
    return;
  }
  // Whether a ticket came before the shim was done with the connection is chance.
  if (options['shim-shuts-down']) return;
  const resumed = isResumption && !options['expect-session-miss'];
  const expected =
    info.version === 0x0304
      ? !options['expect-no-session']
      : !options['expect-no-session'] && (!resumed || options['expect-ticket-renewal'] === true);
  equal('new session', expected, got.ticket);
}

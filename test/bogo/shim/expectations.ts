/** The -expect-* flags: each is checked, or the test fails. */
import type { ConnectionEvent } from '../../../src/tls/index.ts';
import type { Observed } from './engine.ts';
import { protocolName } from './engine.ts';
import type { Established } from './exchange.ts';
import type { Options } from './flags.ts';

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
  wanted('version', options['expect-version'], info.version);
  wanted('suite', options['expect-cipher'], info.suite);
  wanted('suite', options['expect-cipher-aes'], info.suite);
  wanted('group', options['expect-curve-id'], info.group);
  if (options['expect-hrr']) equal('HelloRetryRequest', true, info.helloRetry);
  if (options['expect-no-hrr']) equal('HelloRetryRequest', false, info.helloRetry);
  wanted('server name', options['expect-server-name'], info.serverName);
  if (options['expect-no-server-name']) equal('server name', undefined, info.serverName);
  const alpn = options.server ? options['select-alpn'] : options['expect-alpn'];
  equal('ALPN', alpn === undefined ? undefined : protocolName(alpn), info.alpn);
  wanted('credential', options['expect-selected-credential'], observed.credential?.index);
}

function sameBytes(what: string, expected: Buffer | undefined, came: Uint8Array | undefined): void {
  if (expected === undefined) return;
  const hex = came === undefined ? 'nothing' : Buffer.from(came).toString('hex');
  equal(what, expected.toString('hex'), hex);
}

/** What the peer has sent with its certificate. */
export function checkPeer(options: Options, event: Extract<ConnectionEvent, { type: 'verify' }>): void {
  sameBytes('OCSP response', options['expect-ocsp-response'], event.ocspResponse);
  sameBytes('SCT list', options['expect-signed-cert-timestamps'], event.sctList);
}

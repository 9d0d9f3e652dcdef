/**
 * The runner's command line. A flag may be prefixed: -on-initial, -on-resume and -on-retry give it to one of the
 * connections only, -on-shim to this program (the only one there is here), -on-handshaker to one we do not have.
 */
import { OUT_OF_SCOPE } from './out-of-scope.ts';

/** What the runner may ask of one connection; a key is the flag's name without its dash. */
const FLAGS = {
  // protocol of the shim
  port: 'number',
  ipv6: 'flag',
  'shim-id': 'bigint',
  server: 'flag',
  'resume-count': 'number',
  // versions, suites, groups, signatures
  'min-version': 'number',
  'max-version': 'number',
  'no-tls13': 'flag',
  'no-tls12': 'flag',
  'no-tls11': 'flag',
  'no-tls1': 'flag',
  'server-preference': 'flag',
  curves: 'numbers',
  'key-shares': 'numbers',
  'no-key-shares': 'flag',
  'verify-prefs': 'numbers',
  // credentials
  'key-file': 'text',
  'cert-file': 'text',
  'signing-prefs': 'numbers',
  'ocsp-response': 'base64',
  'signed-cert-timestamps': 'base64',
  'must-match-issuer': 'flag',
  'new-x509-credential': 'flag',
  'fail-cert-callback': 'flag',
  'use-ocsp-callback': 'flag',
  'set-ocsp-in-callback': 'flag',
  'decline-ocsp-callback': 'flag',
  'fail-ocsp-callback': 'flag',
  // the peer's certificate
  'trust-cert': 'text',
  'verify-peer': 'flag',
  'verify-fail': 'flag',
  'require-any-client-certificate': 'flag',
  'use-custom-verify-callback': 'flag',
  'reverify-on-resume': 'flag',
  'use-client-ca-list': 'text',
  'enable-ocsp-stapling': 'flag',
  'enable-signed-cert-timestamps': 'flag',
  'max-cert-list': 'number',
  // names
  'host-name': 'text',
  'advertise-alpn': 'bytes',
  'select-alpn': 'bytes',
  'decline-alpn': 'flag',
  'reject-alpn': 'flag',
  // tickets
  'no-ticket': 'flag',
  'resumption-delay': 'number',
  // how the connection is driven
  async: 'flag',
  'implicit-handshake': 'flag',
  'shim-writes-first': 'flag',
  'shim-initial-write': 'bytes',
  'repeat-shim-initial-write': 'number',
  'shim-shuts-down': 'flag',
  'check-close-notify': 'flag',
  'read-size': 'number',
  'partial-write': 'flag',
  'key-update': 'flag',
  'key-update-before-read': 'flag',
  'write-different-record-sizes': 'flag',
  'export-keying-material': 'number',
  'export-label': 'bytes',
  'export-context': 'bytes',
  'use-export-context': 'flag',
  'use-exporter-between-reads': 'flag',
  'forbid-renegotiation-after-handshake': 'flag',
  'use-early-callback': 'flag',
  'install-ddos-callback': 'flag',
  'fail-ddos-callback': 'flag',
  'use-old-client-cert-callback': 'flag',
  'no-op-extra-handshake': 'flag',
  'handshake-never-done': 'flag',
  // what must come of it
  'expect-version': 'number',
  'expect-cipher': 'number',
  'expect-cipher-aes': 'number',
  'expect-cipher-no-aes': 'number',
  'expect-curve-id': 'number',
  'expect-peer-signature-algorithm': 'number',
  'expect-peer-verify-pref': 'numbers',
  'expect-hrr': 'flag',
  'expect-no-hrr': 'flag',
  'expect-session-miss': 'flag',
  'expect-no-session': 'flag',
  'expect-session-id': 'flag',
  'expect-no-session-id': 'flag',
  'expect-ticket-renewal': 'flag',
  'expect-ticket-supports-early-data': 'flag',
  'expect-no-offer-early-data': 'flag',
  'expect-extended-master-secret': 'flag',
  'expect-secure-renegotiation': 'flag',
  'expect-no-secure-renegotiation': 'flag',
  'expect-server-name': 'text',
  'expect-no-server-name': 'flag',
  'expect-alpn': 'bytes',
  'expect-advertised-alpn': 'bytes',
  'expect-ocsp-response': 'base64',
  'expect-signed-cert-timestamps': 'base64',
  'expect-client-ca-list': 'text',
  'expect-verify-result': 'flag',
  'expect-peer-cert-file': 'text',
  'expect-no-peer-cert': 'flag',
  'expect-selected-credential': 'number',
  'is-handshaker-supported': 'flag',
} as const;

interface Kinds {
  flag: true;
  number: number;
  bigint: bigint;
  numbers: readonly number[];
  text: string;
  /** Raw bytes of the argument. */
  bytes: Buffer;
  base64: Buffer;
}
type FlagName = keyof typeof FLAGS;
type Values = { -readonly [Name in FlagName]?: Kinds[(typeof FLAGS)[Name]] };

/** Flags that, after -new-x509-credential, speak of that credential. */
const OF_CREDENTIAL = [
  'key-file',
  'cert-file',
  'signing-prefs',
  'ocsp-response',
  'signed-cert-timestamps',
  'must-match-issuer',
] as const satisfies readonly FlagName[];
export type CredentialOptions = Pick<Values, (typeof OF_CREDENTIAL)[number]>;

export interface Options extends Values {
  /** In the runner's order of preference; the flags above them are the last resort. */
  readonly credentials: CredentialOptions[];
}

export interface CommandLine {
  readonly initial: Options;
  readonly resume: Options;
}

/** A flag that is not ours to know; the runner counts the test as unimplemented. */
export class UnknownFlag extends Error {
  readonly flag: string;

  constructor(flag: string) {
    super(`unknown flag -${flag}${flag in OUT_OF_SCOPE ? `: ${OUT_OF_SCOPE[flag]}` : ''}`);
    this.flag = flag;
  }
}

export function parseCommandLine(args: readonly string[]): CommandLine {
  const initial: Options = { credentials: [] };
  const resume: Options = { credentials: [] };
  const rest = args.values();
  for (const argument of rest) {
    let name = argument.replace(/^-/, '');
    const withoutPrefix = (prefix: string): boolean => {
      if (!name.startsWith(`${prefix}-`)) return false;
      name = name.slice(prefix.length + 1);
      return true;
    };
    // With a handshaker apart from the shim the two may differ; without one the test says nothing.
    if (withoutPrefix('on-handshaker') || withoutPrefix('on-shim')) throw new UnknownFlag(argument.slice(1));
    const targets = withoutPrefix('on-initial')
      ? [initial]
      : withoutPrefix('on-resume')
        ? [resume]
        : withoutPrefix('on-retry')
          ? []
          : [initial, resume];
    // What it is said to be without early data, which is always.
    if (name === 'expect-early-data-reason' && rest.next().value === 'disabled') continue;
    if (!argument.startsWith('-') || !Object.hasOwn(FLAGS, name)) throw new UnknownFlag(name);
    const flag = name as FlagName;
    const kind = FLAGS[flag];
    const value = kind === 'flag' ? undefined : rest.next().value;
    if (kind !== 'flag' && value === undefined) throw new Error(`flag -${name} without its value`);
    for (const target of targets) set(target, flag, kind, value);
  }
  return { initial, resume };
}

function set(options: Options, flag: FlagName, kind: keyof Kinds, value: string | undefined): void {
  if (flag === 'new-x509-credential') {
    options.credentials.push({});
    return;
  }
  const ofCredential = (OF_CREDENTIAL as readonly string[]).includes(flag);
  const into: Record<string, unknown> = (ofCredential && options.credentials.at(-1)) || options;
  const text = value ?? '';
  switch (kind) {
    case 'flag':
      into[flag] = true;
      break;
    case 'number':
      into[flag] = Number(text);
      break;
    case 'bigint':
      into[flag] = BigInt(text);
      break;
    case 'numbers':
      into[flag] = [...((into[flag] as number[] | undefined) ?? []), Number(text)];
      break;
    case 'text':
      into[flag] = text;
      break;
    case 'bytes':
      into[flag] = Buffer.from(text, 'utf8');
      break;
    case 'base64':
      into[flag] = Buffer.from(text, 'base64');
  }
}

/**
 * Every option of `socrypt serve`, said once. Flags, environment, config file, the programmatic type, the
 * help and docs/serve.md all come from this table.
 */
import { availableParallelism } from 'node:os';
import {
  CACHE_PRESETS,
  type CachePreset,
  type CacheSetting,
  type Coding,
  type HeaderSetting,
  readCacheControl,
  readCors,
  readHeaders,
} from './file-values.ts';
import {
  choice,
  count,
  custom,
  duration,
  type Group,
  INVALID,
  list,
  map,
  type Option,
  optionalPort,
  optionalText,
  port,
  size,
  type TextKind,
  text,
  toggle,
} from './option.ts';
import { groupNames, suiteNames } from './tls-names.ts';

const FILE: TextKind = { placeholder: 'FILE', expected: 'a path', example: './server.pem' };
/** In a list with a place for each certificate: this one has none. */
export const NO_FILE = '-';
/** One of the names; case does not matter. */
const anyOf = (names: readonly string[]) => new RegExp(`^(?:${names.join('|')})$`, 'i');

const HOST: TextKind = {
  placeholder: 'HOST',
  expected: "a host name or IP address, without port ('0.0.0.0' and '::' are all of this machine's)",
  example: '0.0.0.0',
  pattern: /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|[0-9A-Fa-f:.]+(?:%[\w.-]+)?)$/,
};

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const KI = 1024;
const MI = KI * KI;
const GI = KI * MI;

/**
 * Half as many as engines: a handshake costs JavaScript about as much as it costs its engine. On one CPU a second thread
 * would only be one more to switch to. None from source (tests), where a worker could not load its TypeScript.
 */
function defaultControlWorkers(): number {
  const cpus = Math.min(availableParallelism(), 256);
  return cpus === 1 || import.meta.url.endsWith('.ts') ? 0 : Math.ceil(cpus / 2);
}

export const OPTIONS = {
  // ── where ──────────────────────────────────────────────────────────────────────────────────────────
  /** The directory to serve. */
  root: text(
    {
      group: 'listen',
      help: 'The directory to serve; on the command line the argument after `serve`',
      default: '.',
      reload: true,
    },
    { placeholder: 'DIR', expected: 'a path of a directory', example: './public' },
  ),
  /** Address to listen on. */
  host: text(
    {
      group: 'listen',
      help: 'Address to listen on; only this machine can connect unless it is given',
      default: '127.0.0.1',
    },
    HOST,
  ),
  /** TCP port of HTTPS; 0: any free one. */
  port: port({ group: 'listen', help: 'Port of HTTPS; 0 takes a free one', default: 8443 }),
  /** Engines: native threads that serve. */
  workers: count({
    group: 'listen',
    help: 'Engines: native threads that accept, encrypt and send',
    default: () => Math.min(availableParallelism(), 256),
    defaultText: 'number of CPUs',
    min: 1,
    max: 256,
  }),
  /** Threads that do handshakes; 0: the main thread does. */
  controlWorkers: count({
    group: 'listen',
    help: 'Threads that do handshakes, at most one per engine; 0: the main thread does them',
    default: defaultControlWorkers,
    defaultText: 'half the number of CPUs, 0 with one',
    min: 0,
    max: 256,
  }),
  /** Who encrypts records. */
  offload: choice(
    {
      group: 'listen',
      help: 'Who encrypts records: the best path that works here, or always software',
      default: 'auto',
    },
    ['auto', 'software'],
  ),
  /** Port of a plain HTTP listener that redirects to HTTPS. */
  redirectPort: optionalPort({
    group: 'listen',
    help: 'Port of a plain HTTP listener that redirects to HTTPS',
    default: null,
  }),
  /** Address of the redirect listener; null: that of `host`. */
  redirectHost: optionalText(
    {
      group: 'listen',
      help: 'Address of the redirect listener',
      default: null,
      defaultText: 'that of `host`',
    },
    HOST,
  ),
  /** How long open transfers may take to end after close() or SIGTERM, ms. */
  drainTimeout: duration({
    group: 'listen',
    help: 'How long open transfers may take to end at a shutdown',
    default: 30_000,
    min: 0,
    max: DAY,
    reload: true,
  }),

  // ── tls ────────────────────────────────────────────────────────────────────────────────────────────
  /** Certificate chain files; the first of several is the one for clients without a matching name. */
  cert: list<string>(
    {
      group: 'tls',
      help: 'Certificate chain, PEM or DER; once per certificate; without any a development certificate is made and kept',
      default: [],
      reload: true,
    },
    FILE,
  ),
  /** Private key files, in the order of `cert`. */
  key: list<string>(
    { group: 'tls', help: 'Private key of the certificate at the same place', default: [], reload: true },
    { ...FILE, example: './server.key' },
  ),
  /** OCSP responses (DER), in the order of `cert`; '-' for a certificate without one. */
  ocsp: list<string>(
    {
      group: 'tls',
      help: 'OCSP response (DER) to staple to the certificate at the same place, `-` for none; fetch it anew before it ends, and reload',
      default: [],
      reload: true,
    },
    { ...FILE, expected: "a path, or '-'", example: './server.ocsp' },
  ),
  /** Lists of signed certificate timestamps (RFC 6962 3.3), in the order of `cert`; '-' for a certificate without. */
  sct: list<string>(
    {
      group: 'tls',
      help: 'Signed certificate timestamps (SignedCertificateTimestampList of RFC 6962) of the certificate at the same place, `-` for none',
      default: [],
      reload: true,
    },
    { ...FILE, expected: "a path, or '-'", example: './server.sct' },
  ),
  /** Serve a certificate that has expired. */
  allowExpired: toggle({
    group: 'tls',
    help: 'Serve a certificate that has expired, with a warning',
    default: false,
    reload: true,
  }),

  /** Lowest protocol version; the highest is 1.3. */
  minVersion: choice(
    {
      group: 'tls',
      help: 'Lowest version of TLS; 1.2 is spoken with ECDHE and AEAD suites alone',
      default: '1.2',
    },
    ['1.2', '1.3'],
  ),
  /** Cipher suites by their IANA names, the preferred one first; empty: all there are. */
  suites: list<string>(
    {
      group: 'tls',
      help: 'Cipher suite; once per suite, the preferred one first; a version without any is not spoken',
      default: [],
      defaultText: 'all',
    },
    {
      placeholder: 'SUITE',
      expected: `one of ${suiteNames.join(', ')}`,
      example: suiteNames[0]!,
      pattern: anyOf(suiteNames),
    },
  ),
  /** Groups of the key exchange, the preferred one first; empty: all there are. */
  groups: list<string>(
    {
      group: 'tls',
      help: 'Group of the key exchange; once per group, the preferred one first',
      default: [],
      defaultText: 'all',
    },
    {
      placeholder: 'GROUP',
      expected: `one of ${groupNames.join(', ')} (secp256r1 is P-256)`,
      example: groupNames[0]!,
      pattern: anyOf([...groupNames, 'P-256', 'P-384']),
    },
  ),

  /** Session tickets after a full handshake; 0: no session is resumed. */
  tickets: count({
    group: 'tls',
    help: 'Session tickets after a full handshake; 0: sessions are not resumed',
    default: 2,
    min: 0,
    max: 8,
  }),
  /** How long a session ticket lives, ms. */
  ticketLifetime: duration({
    group: 'tls',
    help: 'How long a session ticket lives, and how long a ticket key of our own seals',
    default: DAY,
    min: 1000,
    max: 7 * DAY,
  }),
  /** File of ticket keys, for servers that resume each other's sessions; null: keys of our own, that rotate. */
  ticketKeys: optionalText(
    {
      group: 'tls',
      help: 'Ticket keys for several servers, read again when the file changes; without it keys of our own, which rotate',
      default: null,
    },
    { ...FILE, example: './ticket.keys' },
  ),
  /** A ticket resumes one session, and no second one. */
  singleUseTickets: toggle({
    group: 'tls',
    help: 'Take each session ticket once only, in this process',
    default: false,
  }),
  /** Authorities whose certificates clients show; none: clients are not asked. */
  clientCa: list<string>(
    {
      group: 'tls',
      help: 'Certificates of authorities, PEM or DER: clients are asked for a certificate by one of them',
      default: [],
      reload: true,
    },
    { ...FILE, example: './clients-ca.pem' },
  ),
  /** Whether a client without a certificate is let in; null: not where there is `clientCa`. */
  clientAuth: custom<'require' | 'request' | null>(
    {
      group: 'tls',
      help: 'With `clientCa`: require a certificate, or request one and let clients without any in',
      default: null,
      defaultText: 'require',
      reload: true,
    },
    {
      expected: 'one of require, request',
      placeholder: 'require|request',
      example: 'require',
      read: (input) => (input === null || input === 'require' || input === 'request' ? input : INVALID),
      show: () => 'require',
    },
  ),
  /** Revocation lists for clients' certificates. */
  clientCrl: list<string>(
    {
      group: 'tls',
      help: 'Revocation lists, PEM or DER: with any, each client certificate must be covered by a current one',
      default: [],
      reload: true,
    },
    { ...FILE, example: './clients.crl' },
  ),

  // ── files ──────────────────────────────────────────────────────────────────────────────────────────
  /** Names tried, in order, for a path that is a directory. */
  index: list<string>(
    {
      group: 'files',
      help: 'Names tried, in order, for a path that is a directory',
      default: ['index.html'],
      reload: true,
    },
    {
      placeholder: 'NAME',
      expected: 'file names without a slash',
      example: 'index.html',
      pattern: /^(?!\.{1,2}$)[^/]+$/,
    },
  ),
  /** List a directory that has no index. */
  listing: toggle({
    group: 'files',
    help: 'List a directory that has no index',
    default: false,
    reload: true,
  }),
  /** Serve about.html as /about. */
  cleanUrls: toggle({
    group: 'files',
    help: 'Serve about.html as /about, and redirect /about.html to it',
    default: false,
    reload: true,
  }),
  /** Slash at the end of a directory's path. */
  trailingSlash: choice(
    {
      group: 'files',
      help: "Slash at the end of a directory's path: redirect to add it, to remove it, or serve both",
      default: 'add',
      reload: true,
    },
    ['add', 'remove', 'ignore'],
  ),
  /** Names that begin with a dot. */
  dotfiles: choice(
    {
      group: 'files',
      help: 'Names that begin with a dot (below /.well-known/ they are always served)',
      default: 'deny',
      reload: true,
    },
    ['deny', 'allow'],
  ),
  /** Symbolic links; never out of the root. */
  symlinks: choice(
    {
      group: 'files',
      help: 'Symbolic links that stay within the root; those that leave it are never followed',
      default: 'inside',
      reload: true,
    },
    ['inside', 'deny'],
  ),
  /** Codings for which a neighbour (app.js.br) is sent. */
  precompressed: list<Coding>(
    {
      group: 'files',
      help: 'Codings for which a neighbour (app.js.br, .zst, .gz) is sent in place of the file',
      default: ['br', 'zstd', 'gzip'],
      reload: true,
    },
    {
      placeholder: 'CODING',
      expected: 'br, zstd, gzip (or none)',
      example: 'br',
      pattern: /^(?:br|zstd|gzip)$/,
    },
  ),
  /** Cache-Control: a preset or rules. */
  cacheControl: custom<CachePreset | readonly CacheSetting[]>(
    {
      group: 'files',
      help: 'Cache-Control of files: `default` is a year for names with a fingerprint and no-cache for the rest',
      default: 'default',
      reload: true,
    },
    {
      expected: `one of ${CACHE_PRESETS.join(', ')}, or a list of {"match": GLOB, "value": TEXT}`,
      placeholder: 'PRESET',
      example: 'immutable',
      read: readCacheControl,
    },
  ),
  /** Fields added to responses. */
  headers: custom<readonly HeaderSetting[]>(
    {
      group: 'files',
      help: 'Field added to every response (config: with `match`, to paths that a glob matches)',
      default: [],
      reload: true,
    },
    {
      expected:
        '\'NAME: VALUE\', an object of them, or a list of {"match": GLOB, "name": NAME, "value": TEXT}',
      placeholder: "'NAME: VALUE'",
      example: "'X-Frame-Options: DENY'",
      repeatable: true,
      read: readHeaders,
      show: () => 'none',
    },
  ),
  /** Cross-origin reads. */
  cors: custom<false | '*' | readonly string[]>(
    { group: 'files', help: 'Origins that may read across origins', default: false, reload: true },
    {
      expected: "'*', off, or origins such as https://example.org",
      placeholder: 'ORIGIN',
      example: 'https://example.org',
      repeatable: true,
      read: readCors,
      show: () => 'off',
    },
  ),
  /** File served for a path without a file (single-page applications). */
  spa: optionalText(
    {
      group: 'files',
      help: 'File served for a path without a file (single-page application)',
      default: null,
      reload: true,
    },
    { placeholder: 'PATH', expected: 'a path below the root', example: 'index.html' },
  ),
  /** Pages by status. */
  errorPages: map(
    {
      group: 'files',
      help: 'Page of an error status; 404.html at the root needs no mention',
      default: {},
      reload: true,
    },
    {
      placeholder: 'STATUS=PATH',
      expected: 'a status from 400 to 599 and a path below the root',
      example: '404=errors/404.html',
      separator: '=',
      key: /^[45]\d\d$/,
      value: /^[^\0]+$/,
    },
  ),
  /** Media types by extension, before the built-in ones. */
  mimeTypes: map(
    {
      group: 'files',
      help: 'Media type of an extension, before the built-in table',
      default: {},
      reload: true,
    },
    {
      placeholder: 'EXT=TYPE',
      expected: 'an extension without its dot and a media type',
      example: 'wasm=application/wasm',
      separator: '=',
      key: /^[^./\0]+$/,
      value: /^[^/\s]+\/\S/,
    },
  ),
  /** Charset of text types; null sends none. */
  charset: optionalText(
    { group: 'files', help: 'Charset of text types', default: 'utf-8', reload: true },
    {
      placeholder: 'NAME',
      expected: 'a character set, or off',
      example: 'utf-8',
      pattern: /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/,
    },
  ),
  /** X-Content-Type-Options: nosniff. */
  nosniff: toggle({
    group: 'files',
    help: 'Send X-Content-Type-Options: nosniff',
    default: true,
    reload: true,
  }),

  // ── limits ─────────────────────────────────────────────────────────────────────────────────────────
  /** Connections at once, all engines together; more are refused and counted. */
  maxConnections: count({
    group: 'limits',
    help: 'Connections at once, all engines together; more are refused and counted',
    default: 10_000,
    min: 1,
    max: 10_000_000,
  }),
  /** Connections that the kernel holds until they are accepted. */
  backlog: count({
    group: 'limits',
    help: 'Connections that the kernel holds until they are accepted, per engine',
    default: 1024,
    min: 1,
    max: 65_535,
  }),
  /** TCP congestion control of the connections; null: the system's. */
  congestionControl: optionalText(
    {
      group: 'limits',
      help: "TCP congestion control of the connections; without it the system's",
      default: null,
    },
    {
      placeholder: 'NAME',
      expected: 'the name of a congestion control, or off',
      example: 'cubic',
      pattern: /^[a-z0-9_-]{1,15}$/,
    },
  ),
  /** Bytes a client may send in its handshake. */
  maxHandshakeBytes: size({
    group: 'limits',
    help: 'Bytes a client may send in its handshake',
    default: 64 * KI,
    min: KI,
    max: MI,
  }),
  /** From accept to the end of the handshake, ms. */
  handshakeTimeout: duration({
    group: 'limits',
    help: 'From accept to the end of the handshake',
    default: 10_000,
    min: 10,
    max: HOUR,
  }),
  /** From the first byte of a request to the end of its head, ms. */
  headerTimeout: duration({
    group: 'limits',
    help: 'From the start of a request to the end of its head; then 408',
    default: 10_000,
    min: 10,
    max: HOUR,
  }),
  /** Between two requests, ms. */
  keepAliveTimeout: duration({
    group: 'limits',
    help: 'Between two requests on a connection',
    default: 60_000,
    min: 10,
    max: DAY,
  }),
  /** Without any progress of a response, ms. */
  writeTimeout: duration({
    group: 'limits',
    help: 'Without any progress of a response',
    default: 60_000,
    min: 10,
    max: DAY,
  }),
  /** Bytes of a request's head; more is 431. */
  maxHeaderBytes: size({
    group: 'limits',
    help: "Bytes of a request's head; more gets 431",
    default: 16 * KI,
    min: 512,
    max: MI,
  }),
  /** Bytes of a request's target; more is 414. */
  maxTargetBytes: size({
    group: 'limits',
    help: "Bytes of a request's target; more gets 414",
    default: 8 * KI,
    min: 64,
    max: MI,
  }),
  /** Requests on one connection, after which it is closed. */
  maxRequestsPerConnection: count({
    group: 'limits',
    help: 'Requests on one connection, after which it is closed',
    default: 10_000,
    min: 1,
    max: 1_000_000_000,
  }),
  /** Bytes of a request's body that are read and discarded; more is 413. */
  maxBodyBytes: size({
    group: 'limits',
    help: "Bytes of a request's body, read and discarded; more gets 413",
    default: 64 * KI,
    min: 1,
    max: GI,
  }),
  /** Entries of each engine's file cache. */
  cacheEntries: count({
    group: 'limits',
    help: "Entries of each engine's file cache; each holds a file open",
    default: 65_536,
    min: 1,
    max: 16_777_216,
  }),
  /** Bytes of file content kept in each engine's cache. */
  cacheBytes: size({
    group: 'limits',
    help: "Bytes of file content kept in each engine's cache",
    default: 64 * MI,
    min: 64 * KI,
    max: 1024 * GI,
  }),
  /** Largest file kept in memory. */
  cacheFileBytes: size({
    group: 'limits',
    help: 'Largest file kept in memory',
    default: 64 * KI,
    min: 1,
    max: 16 * MI,
  }),
  /** How old a looked-up fact about a file may be, ms. */
  revalidate: duration({
    group: 'limits',
    help: 'How old a looked-up fact about a file may be',
    default: 500,
    min: 1,
    max: HOUR,
  }),

  // ── observe ────────────────────────────────────────────────────────────────────────────────────────
  /** Port of the admin listener: /metrics, /healthz, /readyz. */
  metricsPort: optionalPort({
    group: 'observe',
    help: 'Port of the admin listener (plain HTTP): /metrics, /healthz, /readyz',
    default: null,
  }),
  /** Address of the admin listener. */
  metricsHost: text({ group: 'observe', help: 'Address of the admin listener', default: '127.0.0.1' }, HOST),
  /** process_* and nodejs_* metrics beside our own. */
  processMetrics: toggle({
    group: 'observe',
    help: "Also export prom-client's process_* and nodejs_* metrics",
    default: false,
  }),
  /** Least severe level that is logged. */
  logLevel: choice(
    { group: 'observe', help: 'Least severe level of the JSON log on stderr', default: 'info', reload: true },
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
  ),
  /** File of the access log, '-' for stdout, null for none. */
  accessLog: optionalText(
    { group: 'observe', help: 'File of the access log, `-` for stdout', default: null },
    { ...FILE, expected: "a path, '-' for stdout, or off", example: './access.log' },
  ),
  /** File that the secrets of every connection are written to, null for none. */
  keylog: optionalText(
    {
      group: 'observe',
      help: 'Write the secrets of every connection to this file (NSS key log, for Wireshark): whoever reads it reads all traffic',
      default: null,
    },
    { ...FILE, example: './keys.log' },
  ),
  /** Form of the access log's lines. */
  accessLogFormat: choice({ group: 'observe', help: "Form of the access log's lines", default: 'combined' }, [
    'combined',
    'json',
  ]),
};

type Table = typeof OPTIONS;
export type OptionKey = keyof Table;
type ValueOf<O> = O extends Option<infer T> ? T : never;

/** Every option with its value: what the rest of serve/ works with. */
export type Settings = { readonly [K in OptionKey]: ValueOf<Table[K]> };

/** Lists may also be given as one value, durations and sizes as text ('10s', '64k'). */
type Loose<T> = T extends readonly (infer U)[] ? T | U : T extends number ? T | string : T;

/** What a program passes; whatever is left out takes its default. */
export type ServeSettings = {
  readonly [K in Exclude<OptionKey, 'headers'>]?: Loose<Settings[K]> | undefined;
} & {
  /** Fields as `'NAME: VALUE'`, as an object, or with `match`. */
  readonly headers?:
    | string
    | Readonly<Record<string, string>>
    | HeaderSetting
    | readonly (string | HeaderSetting)[]
    | undefined;
};

export const optionKeys = Object.keys(OPTIONS) as OptionKey[];

export const optionOf = (key: OptionKey): Option<unknown> => OPTIONS[key] as unknown as Option<unknown>;

/** metricsPort -> --metrics-port. */
export const flagOf = (key: string): string => FLAG_NAMES[key] ?? kebab(key);
const kebab = (key: string) => key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
/** One field per flag: singular. */
const FLAG_NAMES: Readonly<Record<string, string>> = {
  headers: 'header',
  errorPages: 'error-page',
  mimeTypes: 'mime-type',
  suites: 'suite',
  groups: 'group',
};

/** metricsPort -> SOCRYPT_METRICS_PORT. */
export const variableOf = (key: string): string => `SOCRYPT_${kebab(key).replaceAll('-', '_').toUpperCase()}`;

export const GROUPS: Readonly<Record<Group, string>> = {
  listen: 'Listening',
  tls: 'Certificates',
  files: 'Files and responses',
  limits: 'Limits',
  observe: 'Observing',
};

export function defaultOf<K extends OptionKey>(key: K): Settings[K] {
  const value = OPTIONS[key].default as unknown;
  return (typeof value === 'function' ? value() : value) as Settings[K];
}

/**
 * Every metric, said once: name, type, help, and how its samples come from one snapshot. Names follow
 * https://prometheus.io/docs/practices/naming/; every label set is fixed or bounded by the configuration.
 */

import type { DriverInfo } from '../ocf/driver-info.ts';
import type { EngineCounters } from './engine-counters.ts';
import { type NicSnapshot, nicFamilies } from './nic-families.ts';
import { ocfFamilies } from './ocf-families.ts';
import { GROUP_NAMES, SUITE_NAMES, versionOfSuite } from './tls-names.ts';

export type Labels = Readonly<Record<string, string>>;
export interface Sample {
  readonly labels: Labels;
  readonly value: number;
  /** '_bucket', '_sum' or '_count' of a histogram. */
  readonly suffix?: string;
}
/** `S`: what of a snapshot it is made of. */
export interface Family<S = Snapshot> {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly samples: (snapshot: S) => readonly Sample[];
}

/** What control counted about handshakes. */
export interface HandshakeCounts {
  readonly full: number;
  readonly resumed: number;
  /** Sessions offered and not resumed, by reason. */
  readonly notResumed: ReadonlyMap<string, number>;
  readonly tickets: number;
  /** By reason. */
  readonly failed: ReadonlyMap<string, number>;
  /** After the handshake: KeyUpdates that were none. By reason. */
  readonly failedAfter: ReadonlyMap<string, number>;
  /** By 'suite\tgroup\talpn', suite and group as code points in decimal. */
  readonly negotiated: ReadonlyMap<string, number>;
}

export interface CertificateFacts {
  /** A configured name, never one that a client sent. */
  readonly serverName: string;
  readonly keyType: string;
  readonly notAfter: Date;
}

/** Everything that a scrape is made of, taken at one moment. */
export interface Snapshot {
  readonly engines: EngineCounters;
  readonly handshakes: HandshakeCounts;
  readonly certificates: readonly CertificateFacts[];
  readonly offload: { readonly path: string; readonly engine: string; readonly reason: string };
  readonly build: { readonly version: string; readonly node: string; readonly tlsLibrary: string };
  readonly reload: { readonly successful: boolean; readonly lastSuccess: Date };
  /** Of the crypto framework, in all engines and threads. */
  readonly drivers: readonly DriverInfo[];
  /** null: there is no inline NIC. */
  readonly nic: NicSnapshot | null;
  /** null: there is no access log. */
  readonly accessLog: { readonly written: number; readonly dropped: number; readonly errors: number } | null;
  /** By status; null: there is no redirect listener. */
  readonly redirects: ReadonlyMap<number, number> | null;
}

const NANO = 1e-9;
const NONE: Labels = {};

/** In the order of native/engine/counters.def. */
export const DURATION_BOUNDS = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
export const SIZE_BOUNDS = [
  256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864,
];
export const CONNECTION_BOUNDS = [0.01, 0.1, 1, 10, 60, 300, 1800, 3600];
export const REQUEST_BOUNDS = [1, 2, 5, 10, 20, 50, 100, 500, 1000];

const OFFLOAD_PATHS = ['software', 'accelerator', 'nic', 'kernel'];
/** native/engine/paths/reasons.def. */
const REFUSALS = [
  'suite',
  'no_room',
  'failed',
  'device_dead',
  'paused',
  'same_host',
  'other_route',
  'mptcp',
  'tcp_md5',
  'tcp_ao',
  'key_in_use',
  'no_rights',
];
const STATUSES = [
  '200',
  '204',
  '206',
  '301',
  '302',
  '304',
  '308',
  '400',
  '403',
  '404',
  '405',
  '408',
  '412',
  '413',
  '414',
  '416',
  '431',
  '500',
  '501',
  '503',
  '505',
  'other',
];

const one = (value: number, labels: Labels = NONE): readonly Sample[] => [{ labels, value }];

const counter = (name: string, help: string, samples: Family['samples']): Family => ({
  name,
  type: 'counter',
  help,
  samples,
});
const gauge = (name: string, help: string, samples: Family['samples']): Family => ({
  name,
  type: 'gauge',
  help,
  samples,
});

/** One counter of the engines. */
const plain =
  (native: string): Family['samples'] =>
  (s) =>
    one(s.engines.value(native));

/** Several counters of the engines as one metric with a label; pairs of label value and native name. */
const labelled =
  (label: string, pairs: readonly (readonly [string, string])[], more: Labels = NONE): Family['samples'] =>
  (s) =>
    pairs.map(([value, native]) => ({ labels: { [label]: value, ...more }, value: s.engines.value(native) }));

const prefixed = (prefix: string, values: readonly string[]) =>
  values.map((value) => [value, `${prefix}${value}`] as const);

const histogram = (
  name: string,
  help: string,
  native: string,
  bounds: readonly number[],
  scale = 1,
): Family => ({
  name,
  type: 'histogram',
  help,
  samples: (s) => {
    const { buckets, sum } = s.engines.histogram(native, bounds.length);
    const samples: Sample[] = [];
    let cumulative = 0;
    for (const [i, n] of buckets.entries()) {
      cumulative += n;
      const le = i < bounds.length ? String(bounds[i]) : '+Inf';
      samples.push({ suffix: '_bucket', labels: { le }, value: cumulative });
    }
    samples.push({ suffix: '_sum', labels: NONE, value: sum * scale });
    samples.push({ suffix: '_count', labels: NONE, value: cumulative });
    return samples;
  },
});

/** Reasons that the engine counts by itself, before or beside the handshake in control. */
const ENGINE_FAILURES = [
  ['timeout', 'handshake_timeout'],
  ['plaintext', 'handshake_plaintext'],
  ['eof', 'handshake_eof'],
  ['too_big', 'handshake_too_big'],
] as const;

function failures(s: Snapshot): Map<string, number> {
  const all = new Map<string, number>(
    ENGINE_FAILURES.map(([reason, native]) => [reason, s.engines.value(native)]),
  );
  for (const [reason, n] of s.handshakes.failed) all.set(reason, (all.get(reason) ?? 0) + n);
  return all;
}

/** One value for each offload path: PATHED of native/engine/counters.def. */
const byPath = (s: Snapshot, name: string, labels: Labels = NONE) =>
  OFFLOAD_PATHS.map((path) => ({ labels: { ...labels, path }, value: s.engines.value(`${name}_${path}`) }));

const seconds = (date: Date) => date.getTime() / 1000;

export const families: readonly Family[] = [
  gauge('socrypt_build_info', 'Build information.', (s) =>
    one(1, { version: s.build.version, node: s.build.node, tls_library: s.build.tlsLibrary }),
  ),
  gauge('socrypt_offload_info', 'Active record-offload path and why.', (s) =>
    one(1, { path: s.offload.path, engine: s.offload.engine, reason: s.offload.reason }),
  ),

  counter('socrypt_connections_accepted_total', 'Accepted TCP connections.', plain('connections_accepted')),
  counter(
    'socrypt_connections_rejected_total',
    'Connections refused before TLS.',
    labelled('reason', prefixed('connections_rejected_', ['limit', 'fd'])),
  ),
  gauge(
    'socrypt_connections_active',
    'Open connections by state.',
    labelled('state', prefixed('connections_', ['handshake', 'idle', 'reading', 'writing', 'draining'])),
  ),
  counter(
    'socrypt_connections_closed_total',
    'Closed connections by reason.',
    labelled(
      'reason',
      prefixed('closed_', [
        'client',
        'keepalive_timeout',
        'header_timeout',
        'write_timeout',
        'handshake',
        'error',
        'file_changed',
        'device_lost',
        'drain',
        'max_requests',
        'key_limit',
      ]),
    ),
  ),
  histogram(
    'socrypt_connection_duration_seconds',
    'Connection lifetime.',
    'connection_duration',
    CONNECTION_BOUNDS,
    NANO,
  ),
  histogram('socrypt_connection_requests', 'Requests per connection.', 'connection_requests', REQUEST_BOUNDS),

  counter('socrypt_tls_handshakes_total', 'TLS handshakes by result.', (s) => {
    let failed = 0;
    for (const n of failures(s).values()) failed += n;
    return [
      { labels: { result: 'full' }, value: s.handshakes.full },
      { labels: { result: 'resumed' }, value: s.handshakes.resumed },
      { labels: { result: 'failed' }, value: failed },
    ];
  }),
  counter('socrypt_tls_tickets_total', 'Session tickets sent.', (s) => one(s.handshakes.tickets)),
  counter(
    'socrypt_tls_sessions_refused_total',
    'Sessions that clients offered and that were not resumed, by reason; the handshake went on in full.',
    (s) => [...s.handshakes.notResumed].map(([reason, value]) => ({ labels: { reason }, value })),
  ),
  counter('socrypt_tls_handshake_failures_total', 'Failed TLS handshakes by reason.', (s) =>
    [...failures(s)].map(([reason, value]) => ({ labels: { reason }, value })),
  ),
  histogram(
    'socrypt_tls_handshake_duration_seconds',
    'Accept to the end of the handshake.',
    'handshake_duration',
    DURATION_BOUNDS,
    NANO,
  ),
  counter('socrypt_tls_negotiated_total', 'Completed handshakes by what was negotiated.', (s) =>
    [...s.handshakes.negotiated].map(([key, value]) => {
      const [cipher = '', group = '', alpn = ''] = key.split('\t');
      return {
        labels: {
          version: versionOfSuite(Number(cipher)),
          cipher: SUITE_NAMES[Number(cipher)] ?? cipher,
          group: GROUP_NAMES[Number(group)] ?? group,
          alpn: alpn === '' ? 'none' : alpn,
        },
        value,
      };
    }),
  ),
  gauge('socrypt_tls_connections_active', 'Established TLS connections by record path.', (s) =>
    byPath(s, 'tls_active'),
  ),
  counter(
    'socrypt_tls_paths_refused_total',
    'Keys that the path asked for did not take, and connections that left it for another route, by reason; another path took them.',
    labelled('reason', prefixed('not_taken_', REFUSALS)),
  ),
  gauge(
    'socrypt_accelerator_drivers',
    'Drivers that seal and open records, over all engines, and are well.',
    plain('accelerators_running'),
  ),
  counter(
    'socrypt_accelerator_ops_total',
    'Operations that accelerators did, known-answer tests included; taken from one and done elsewhere (rescued); found wrong.',
    labelled('result', [
      ['done', 'accelerator_ops'],
      ['rescued', 'accelerator_rescued'],
      ['wrong', 'accelerator_wrong'],
    ]),
  ),
  counter('socrypt_tls_records_total', 'TLS records sealed (out) and opened (in).', (s) => [
    ...byPath(s, 'records_sealed', { direction: 'out' }),
    ...byPath(s, 'records_opened', { direction: 'in' }),
  ]),
  counter('socrypt_tls_plaintext_bytes_total', 'Application bytes through the record layer.', (s) => [
    ...byPath(s, 'plaintext_bytes_out', { direction: 'out' }),
    ...byPath(s, 'plaintext_bytes_in', { direction: 'in' }),
  ]),
  counter('socrypt_tls_ciphertext_bytes_total', 'Bytes on the wire including record overhead.', (s) => [
    ...byPath(s, 'ciphertext_bytes_out', { direction: 'out' }),
    ...byPath(s, 'ciphertext_bytes_in', { direction: 'in' }),
  ]),
  counter(
    'socrypt_tls_rekeys_total',
    'TLS 1.3 key updates by direction.',
    labelled('direction', [
      ['out', 'rekeys_tx'],
      ['in', 'rekeys_rx'],
    ]),
  ),
  counter(
    'socrypt_tls_post_handshake_failures_total',
    'Connections ended for a message after their handshake, by reason.',
    (s) => [...s.handshakes.failedAfter].map(([reason, value]) => ({ labels: { reason }, value })),
  ),
  counter('socrypt_tls_decrypt_errors_total', 'Records that failed authentication.', plain('decrypt_errors')),
  gauge('socrypt_tls_certificate_not_after_timestamp_seconds', 'When a certificate expires.', (s) => {
    // Two certificates of one name and kind of key: the one that expires first is the one to know of.
    const soonest = new Map<string, CertificateFacts>();
    for (const fact of s.certificates) {
      const key = `${fact.serverName}\t${fact.keyType}`;
      const known = soonest.get(key);
      if (known === undefined || fact.notAfter < known.notAfter) soonest.set(key, fact);
    }
    return [...soonest.values()].map((fact) => ({
      labels: { server_name: fact.serverName, key_type: fact.keyType },
      value: seconds(fact.notAfter),
    }));
  }),

  counter(
    'socrypt_sendfile_bytes_total',
    'File bytes sent, by where they came from.',
    labelled('source', [
      ['file', 'sendfile_bytes'],
      ['memory', 'memory_bytes'],
    ]),
  ),
  counter(
    'socrypt_zero_copy_bytes_total',
    'Of the file bytes sent, those that went to the inline NIC without being copied.',
    plain('zero_copy_bytes'),
  ),
  counter(
    'socrypt_file_guard_changed_total',
    'Connections ended since a file changed while the inline NIC sent it.',
    plain('guard_changed'),
  ),
  counter(
    'socrypt_tls_path_moves_total',
    'Moves of open connections from one record path to another.',
    plain('path_moves'),
  ),
  counter(
    'socrypt_backpressure_events_total',
    'Writes stopped by a full socket or by the turn of another connection.',
    labelled('kind', prefixed('backpressure_', ['eagain', 'budget'])),
  ),
  counter(
    'socrypt_cold_reads_total',
    'File reads handed to another thread, since the page cache had no data.',
    plain('cold_reads'),
  ),

  counter(
    'socrypt_http_requests_total',
    'Requests by method.',
    labelled('method', [
      ['GET', 'requests_get'],
      ['HEAD', 'requests_head'],
      ['OPTIONS', 'requests_options'],
      ['OTHER', 'requests_other'],
    ]),
  ),
  counter(
    'socrypt_http_responses_total',
    'Responses by status.',
    labelled('code', prefixed('responses_', STATUSES)),
  ),
  gauge('socrypt_http_requests_in_flight', 'Requests being served.', plain('requests_in_flight')),
  histogram(
    'socrypt_http_request_duration_seconds',
    'First byte of the request read to last byte of the response queued.',
    'request_duration',
    DURATION_BOUNDS,
    NANO,
  ),
  histogram(
    'socrypt_http_time_to_first_byte_seconds',
    'First byte of the request read to first byte of the response queued.',
    'time_to_first_byte',
    DURATION_BOUNDS,
    NANO,
  ),
  counter(
    'socrypt_http_response_bytes_total',
    'Body bytes by content coding.',
    labelled('encoding', prefixed('response_bytes_', ['identity', 'gzip', 'br', 'zstd'])),
  ),
  histogram('socrypt_http_response_size_bytes', 'Body sizes.', 'response_size', SIZE_BOUNDS),
  counter('socrypt_http_parse_errors_total', 'Malformed requests.', plain('parse_errors')),
  counter(
    'socrypt_http_range_requests_total',
    'Range requests by result.',
    labelled('result', prefixed('range_', ['single', 'multipart', 'unsatisfiable', 'ignored'])),
  ),
  counter(
    'socrypt_http_conditional_requests_total',
    'Conditional requests by result.',
    labelled('result', prefixed('conditional_', ['not_modified', 'modified', 'precondition_failed'])),
  ),

  counter('socrypt_file_cache_hits_total', 'Requests answered from the file cache.', plain('cache_hits')),
  counter(
    'socrypt_file_cache_misses_total',
    'Requests that the file cache had no answer for.',
    plain('cache_misses'),
  ),
  counter(
    'socrypt_file_cache_evictions_total',
    'Entries dropped for want of room.',
    plain('cache_evictions'),
  ),
  counter(
    'socrypt_file_cache_invalidations_total',
    'Entries dropped since a file or name had changed.',
    plain('cache_invalidations'),
  ),
  gauge('socrypt_file_cache_entries', 'Entries in the file caches.', plain('cache_entries')),
  gauge('socrypt_file_cache_bytes', 'Bytes of content in the file caches.', plain('cache_bytes')),

  counter(
    'socrypt_js_dispatch_total',
    'Requests handed to JavaScript (misses of the fast path).',
    plain('js_dispatch'),
  ),
  counter(
    'socrypt_ring_full_total',
    'Messages that had to wait since a ring to or from JavaScript was full.',
    plain('ring_full'),
  ),
  counter('socrypt_worker_busy_seconds_total', 'Busy time of each engine.', (s) =>
    s.engines
      .perEngine('busy_ns')
      .map((ns, worker) => ({ labels: { worker: String(worker) }, value: ns * NANO })),
  ),
  gauge(
    'socrypt_buffer_pool_bytes',
    "The engines' buffers.",
    labelled('state', prefixed('buffer_bytes_', ['allocated', 'used'])),
  ),

  gauge(
    'socrypt_config_last_reload_successful',
    'Whether the last reload of the configuration worked.',
    (s) => one(s.reload.successful ? 1 : 0),
  ),
  gauge(
    'socrypt_config_last_reload_success_timestamp_seconds',
    'When the configuration was last taken over.',
    (s) => one(seconds(s.reload.lastSuccess)),
  ),
  counter('socrypt_log_lines_total', 'Access-log lines written.', (s) =>
    s.accessLog ? one(s.accessLog.written) : [],
  ),
  counter('socrypt_log_dropped_total', 'Access-log lines dropped.', (s) =>
    s.accessLog ? one(s.accessLog.dropped) : [],
  ),
  counter('socrypt_log_write_errors_total', 'Writes of the access log that failed.', (s) =>
    s.accessLog ? one(s.accessLog.errors) : [],
  ),
  counter(
    'socrypt_redirects_total',
    'Answers of the HTTP listener that redirects to HTTPS, by status.',
    (s) =>
      s.redirects === null
        ? []
        : [...s.redirects].map(([code, value]) => ({ labels: { code: String(code) }, value })),
  ),
  ...ocfFamilies,
  ...nicFamilies,
];

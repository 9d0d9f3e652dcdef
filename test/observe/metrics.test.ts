import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { CounterLayout, EngineCounters } from '../../src/observe/engine-counters.ts';
import {
  CONNECTION_BOUNDS,
  DURATION_BOUNDS,
  families,
  REQUEST_BOUNDS,
  SIZE_BOUNDS,
  type Snapshot,
} from '../../src/observe/families.ts';
import { registerFamilies } from '../../src/observe/registry.ts';
import { driverNamed } from './driver.ts';
import { parseExposition } from './exposition.ts';
import { nativeNames } from './native-names.ts';

const names = nativeNames();
const layout = new CounterLayout(names);
function snapshotOf(engines: readonly Readonly<Record<string, number>>[]): Snapshot {
  const arrays = engines.map((given) => Float64Array.from(names, (name) => given[name] ?? 0));
  return {
    engines: new EngineCounters(layout, arrays),
    handshakes: {
      full: 7,
      resumed: 5,
      notResumed: new Map([['expired', 3]]),
      tickets: 19,
      failed: new Map([
        ['no_shared_cipher', 2],
        ['timeout', 1],
      ]),
      failedAfter: new Map([['unexpected_handshake_message', 1]]),
      negotiated: new Map([['4865\t29\thttp/1.1', 6]]),
    },
    certificates: [
      { serverName: 'a.example', keyType: 'ec', notAfter: new Date(2_000_000_000_000) },
      { serverName: 'a.example', keyType: 'ec', notAfter: new Date(1_900_000_000_000) },
    ],
    offload: { path: 'software', engine: 'ipsec-mb "x"\\\n', reason: 'r' },
    drivers: [driverNamed('thread'), driverNamed('thread', 2), driverNamed('thread', 0)],
    nic: null,
    build: { version: '0.1.0', node: 'v20', tlsLibrary: 'libcrypto' },
    reload: { successful: false, lastSuccess: new Date(1_700_000_000_000) },
    accessLog: { written: 3, dropped: 2, errors: 1 },
    redirects: new Map([[308, 4]]),
  };
}

async function exposed(snapshot: Snapshot) {
  const registry = new Registry();
  registerFamilies(registry, families, () => snapshot);
  return parseExposition(await registry.metrics());
}
const find = (
  parsed: Awaited<ReturnType<typeof exposed>>,
  name: string,
  labels: Record<string, string> = {},
) =>
  parsed
    .flatMap(({ samples }) => samples)
    .find((s) => s.name === name && Object.entries(labels).every(([key, value]) => s.labels[key] === value))
    ?.value;

describe('metrics', () => {
  it('keep to the naming rules of Prometheus', async () => {
    for (const { name, type, help } of families) {
      expect(name).toMatch(/^socrypt_[a-z][a-z0-9_]*[a-z0-9]$/);
      expect(help, name).toMatch(/^[A-Z].*\.$/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      expect(name, 'base units').not.toMatch(
        /_(ms|milliseconds|us|ns|nanoseconds|minutes|kb|kilobytes|mb|percent)(_|$)/,
      );
      expect(name, 'reserved for histograms').not.toMatch(/_(bucket|sum|count)$/);
      if (type === 'gauge') expect(name).not.toMatch(/_total$/);
    }
    expect(new Set(families.map(({ name }) => name)).size).toBe(families.length);
    for (const { name, samples } of await exposed(snapshotOf([{}]))) {
      for (const sample of samples) {
        expect(Object.keys(sample.labels).join(), name).not.toMatch(
          /path_name|url|client|address|^listener$/,
        );
      }
      const keys = samples.map((sample) => sample.name + JSON.stringify(sample.labels));
      expect(new Set(keys).size, name).toBe(keys.length);
    }
  });

  it('tell of drivers by name and class of session, those that are gone included', async () => {
    const parsed = await exposed(snapshotOf([{}]));
    const driver = 'thread';
    expect(find(parsed, 'socrypt_ocf_drivers', { driver, state: 'running' })).toBe(2);
    expect(find(parsed, 'socrypt_ocf_drivers', { driver, state: 'quarantined' })).toBe(0);
    expect(find(parsed, 'socrypt_ocf_ops_total', { driver, class: 'aes-128-gcm' })).toBe(12);
    expect(find(parsed, 'socrypt_ocf_bytes_total', { driver, class: 'aes-128-cbc+hmac-sha1' })).toBe(300);
    expect(find(parsed, 'socrypt_ocf_failed_total', { driver, class: 'aes-128-gcm' })).toBe(3);
    expect(find(parsed, 'socrypt_ocf_ops_total', { driver, class: 'aes-128-ctr' })).toBeUndefined();
    expect(find(parsed, 'socrypt_ocf_pending', { driver })).toBe(4);
    expect(find(parsed, 'socrypt_ocf_events_total', { driver, event: 'wrong' })).toBe(27);
  });

  it('use every native counter, and only those', () => {
    const used = new Set<string>();
    const engines = {
      value: (name: string) => {
        used.add(name);
        return layout.indexOf(name);
      },
      perEngine: (name: string) => {
        used.add(name);
        return [layout.indexOf(name)];
      },
      histogram: (name: string, bounds: number) => {
        for (let i = 0; i <= bounds; i++) used.add(`${name}_${i}`);
        used.add(`${name}_sum`);
        layout.indexOf(`${name}_${bounds}`);
        // One bucket more than the native side has would read its sum as a bucket.
        expect(layout.indexOf(`${name}_sum`) - layout.indexOf(`${name}_0`)).toBe(bounds + 1);
        return { buckets: Array.from({ length: bounds + 1 }, () => 0), sum: 0 };
      },
    } as unknown as EngineCounters;
    for (const family of families) family.samples({ ...snapshotOf([]), engines });
    expect([...used].sort()).toEqual([...names].sort());
  });

  it('have the bounds of native/engine/counters.hpp', () => {
    const source = readFileSync(new URL('../../native/engine/counters.hpp', import.meta.url), 'utf8');
    const bounds = (name: string) =>
      new RegExp(`${name} = \\{([^}]*)\\}`)
        .exec(source)![1]!
        .replaceAll(/\/\/.*$/gm, '')
        .split(',')
        .map((term) => term.trim().replaceAll("'", ''))
        .filter((term) => term !== '')
        .map((term) => {
          const [a, b] = term.split('<<').map(Number);
          return b === undefined ? a! : a! * 2 ** b;
        });
    expect(bounds('kDurationBounds').map((ns) => ns / 1e9)).toEqual(DURATION_BOUNDS);
    expect(bounds('kSizeBounds')).toEqual(SIZE_BOUNDS);
    expect(bounds('kConnectionBounds').map((ns) => ns / 1e9)).toEqual(CONNECTION_BOUNDS);
    expect(bounds('kRequestBounds')).toEqual(REQUEST_BOUNDS);
  });

  it('sum over engines and keep workers apart', async () => {
    const parsed = await exposed(
      snapshotOf([
        { connections_accepted: 5, requests_get: 1, busy_ns: 2e9, connections_idle: 3 },
        { connections_accepted: 6, requests_get: 2, busy_ns: 5e8, connections_idle: 1 },
      ]),
    );
    expect(find(parsed, 'socrypt_connections_accepted_total')).toBe(11);
    expect(find(parsed, 'socrypt_http_requests_total', { method: 'GET' })).toBe(3);
    expect(find(parsed, 'socrypt_connections_active', { state: 'idle' })).toBe(4);
    expect(find(parsed, 'socrypt_worker_busy_seconds_total', { worker: '0' })).toBe(2);
    expect(find(parsed, 'socrypt_worker_busy_seconds_total', { worker: '1' })).toBe(0.5);
  });

  it('make cumulative histograms in seconds', async () => {
    const engine = {
      request_duration_0: 2,
      request_duration_3: 1,
      request_duration_17: 4,
      request_duration_sum: 5e9,
    };
    const parsed = await exposed(snapshotOf([engine, { request_duration_0: 1 }]));
    const name = 'socrypt_http_request_duration_seconds';
    expect(find(parsed, `${name}_bucket`, { le: '0.00005' })).toBe(3);
    expect(find(parsed, `${name}_bucket`, { le: '0.00025' })).toBe(3);
    expect(find(parsed, `${name}_bucket`, { le: '0.0005' })).toBe(4);
    expect(find(parsed, `${name}_bucket`, { le: '10' })).toBe(4);
    expect(find(parsed, `${name}_bucket`, { le: '+Inf' })).toBe(8);
    expect(find(parsed, `${name}_count`)).toBe(8);
    expect(find(parsed, `${name}_sum`)).toBe(5);
    for (const family of parsed.filter(({ type }) => type === 'histogram')) {
      const buckets = family.samples.filter((s) => s.name.endsWith('_bucket')).map((s) => s.value);
      expect(buckets).toEqual(buckets.toSorted((a, b) => a - b));
    }
  });

  it('join what engines and control know of handshakes', async () => {
    const parsed = await exposed(snapshotOf([{ handshake_timeout: 3, handshake_plaintext: 4 }]));
    expect(find(parsed, 'socrypt_tls_handshakes_total', { result: 'full' })).toBe(7);
    expect(find(parsed, 'socrypt_tls_handshakes_total', { result: 'resumed' })).toBe(5);
    expect(find(parsed, 'socrypt_tls_tickets_total')).toBe(19);
    expect(find(parsed, 'socrypt_tls_sessions_refused_total', { reason: 'expired' })).toBe(3);
    expect(find(parsed, 'socrypt_tls_handshakes_total', { result: 'failed' })).toBe(10);
    expect(find(parsed, 'socrypt_tls_handshake_failures_total', { reason: 'timeout' })).toBe(4);
    expect(find(parsed, 'socrypt_tls_handshake_failures_total', { reason: 'no_shared_cipher' })).toBe(2);
    const negotiated = {
      version: 'TLSv1.3',
      cipher: 'TLS_AES_128_GCM_SHA256',
      group: 'x25519',
      alpn: 'http/1.1',
    };
    expect(find(parsed, 'socrypt_tls_negotiated_total', negotiated)).toBe(6);
  });

  it('tell of certificates, reloads, logs and redirects', async () => {
    const parsed = await exposed(snapshotOf([{}]));
    const expiry = parsed.find(({ name }) => name === 'socrypt_tls_certificate_not_after_timestamp_seconds');
    expect(expiry?.samples).toEqual([
      expect.objectContaining({ labels: { server_name: 'a.example', key_type: 'ec' }, value: 1_900_000_000 }),
    ]);
    expect(find(parsed, 'socrypt_config_last_reload_successful')).toBe(0);
    expect(find(parsed, 'socrypt_config_last_reload_success_timestamp_seconds')).toBe(1_700_000_000);
    expect(find(parsed, 'socrypt_log_dropped_total')).toBe(2);
    expect(find(parsed, 'socrypt_redirects_total', { code: '308' })).toBe(4);
    expect(find(parsed, 'socrypt_offload_info', { engine: 'ipsec-mb "x"\\\n' })).toBe(1);
  });

  it('take one snapshot per scrape', async () => {
    const registry = new Registry();
    let taken = 0;
    registerFamilies(registry, families, () => {
      taken += 1;
      return snapshotOf([{}]);
    });
    await registry.metrics();
    expect(taken).toBe(1);
    await registry.metrics();
    expect(taken).toBe(2);
  });

  it('leave an injected registry as it was', async () => {
    const registry = new Registry();
    const remove = registerFamilies(registry, families, () => snapshotOf([{}]));
    expect(() => registerFamilies(registry, families, () => snapshotOf([{}]))).toThrow(
      expect.objectContaining({ code: 'ERR_SOCRYPT_METRIC_TAKEN' }),
    );
    expect(parseExposition(await registry.metrics())).toHaveLength(families.length);
    remove();
    expect(registry.getMetricsAsArray()).toEqual([]);
  });

  it('work with the OpenMetrics content type', async () => {
    const registry = new Registry();
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never);
    registerFamilies(registry, families, () => snapshotOf([{ connections_accepted: 5 }]));
    for (let scrape = 0; scrape < 2; scrape++) {
      const text = await registry.metrics();
      expect(text).toMatch(/^# TYPE socrypt_connections_accepted counter$/m);
      expect(text).toMatch(/^socrypt_connections_accepted_total 5$/m);
      expect(text).toMatch(/^socrypt_connection_requests_count 0$/m);
    }
  });
});

/** The daemon's admin listener: /metrics, /healthz, /readyz, as a server has them. */
import { native } from '../native.ts';
import { type AdminListener, startAdmin } from '../observe/admin.ts';
import { cryptodFamilies } from '../observe/cryptod-families.ts';
import type { Log } from '../observe/log.ts';
import { type MetricRegistry, registerFamilies } from '../observe/registry.ts';
import { driverInfo } from '../ocf/driver-info.ts';
import { VERSION } from '../serve/version.ts';
import type { CryptodDaemon } from './daemon.ts';

/** Puts the daemon's metrics, and those of its drivers, into a registry of prom-client; the result takes them out again. */
export function registerCryptodMetrics(registry: MetricRegistry, daemon: CryptodDaemon): () => void {
  return registerFamilies(registry, cryptodFamilies, () => ({
    counters: daemon.counters(),
    drivers: native.ocf.reports().map(driverInfo),
    version: VERSION,
  }));
}

export async function startCryptodAdmin(
  daemon: CryptodDaemon,
  host: string,
  port: number,
  log: Log,
): Promise<AdminListener> {
  const { Registry } = await import('prom-client');
  const registry = new Registry();
  registerCryptodMetrics(registry, daemon);
  return startAdmin({ host, port, registry, notReady: () => null, log });
}

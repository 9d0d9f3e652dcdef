/** Metrics of a program that uses the framework and has no server: `serve()` has them among its own. */
import { native } from '../native.ts';
import { ocfFamilies } from '../observe/ocf-families.ts';
import { type MetricRegistry, registerFamilies } from '../observe/registry.ts';
import { driverInfo } from './driver-info.ts';

/**
 * Puts `socrypt_ocf_*` into a registry of prom-client: drivers of all threads, devices (CryptoDevice) and daemons of this
 * process. The result takes them out again.
 */
export function registerMetrics(registry: MetricRegistry): () => void {
  return registerFamilies(registry, ocfFamilies, () => ({ drivers: native.ocf.reports().map(driverInfo) }));
}

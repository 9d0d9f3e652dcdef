/** The admin listener of a NIC that is lent: /metrics, /healthz, /readyz, as a server has them. */
import { type AdminListener, startAdmin } from '../observe/admin.ts';
import type { Log } from '../observe/log.ts';
import { lentNicFamilies } from '../observe/nic-families.ts';
import { registerFamilies } from '../observe/registry.ts';
import { VERSION } from '../serve/version.ts';
import type { NicDaemon } from './daemon.ts';

export async function startNicAdmin(
  daemon: NicDaemon,
  host: string,
  port: number,
  log: Log,
): Promise<AdminListener> {
  const { Registry } = await import('prom-client');
  const registry = new Registry();
  registerFamilies(registry, lentNicFamilies, () => {
    const { alive, flows, retainedBytes } = daemon.nic.status();
    const nic = { alive, flows, retainedBytes, counters: daemon.nic.counters() };
    return { version: VERSION, nic, ...daemon.clients() };
  });
  const notReady = () => {
    const { alive, reason } = daemon.nic.status();
    return alive ? null : `the device is dead: ${reason}`;
  };
  return startAdmin({ host, port, registry, notReady, log });
}

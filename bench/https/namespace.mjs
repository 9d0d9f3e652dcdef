// @ts-check
/**
 * The same TCP congestion control for every server and for the load, whatever the machine's default is:
 * BBR paces each segment burst with a timer, which on loopback, where there is no path to model, takes more
 * CPU time than everything else. A network namespace of the run's own leaves the machine's setting alone.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

export const CONGESTION = '/proc/sys/net/ipv4/tcp_congestion_control';
const PROTOCOLS = '/proc/sys/net/ipv4/tcp_available_ulp';
const INSIDE = 'BENCH_HTTPS_NAMESPACE';

/** What TCP_ULP takes on this kernel; only the first namespace has the file. */
export function upperLayerProtocols() {
  return process.env[INSIDE] ?? readFileSync(PROTOCOLS, 'utf8');
}

/**
 * Goes on in a namespace whose connections use `congestion`; does not return outside of it. Without the
 * rights for one it says so and goes on in place.
 * @param {string} congestion
 */
export function enterNamespace(congestion) {
  if (congestion === 'system') return;
  if (process.env[INSIDE] === undefined) {
    const rights = spawnSync('unshare', ['--net', 'true']);
    if (rights.status !== 0) {
      console.error(
        "bench: no network namespace could be made (that needs root); the machine's congestion control is used",
      );
      return;
    }
    // Ctrl-C reaches the whole group; the run inside cleans up, and this process waits for it.
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => {});
    const inside = spawnSync(
      'unshare',
      ['--net', process.execPath, ...process.execArgv, ...process.argv.slice(1)],
      {
        stdio: 'inherit',
        env: { ...process.env, [INSIDE]: upperLayerProtocols() },
      },
    );
    process.exit(inside.status ?? 1);
  }
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  try {
    writeFileSync(CONGESTION, congestion);
  } catch (error) {
    console.error(
      `bench: congestion control '${congestion}' cannot be set (${/** @type {Error} */ (error).message}); the default is used`,
    );
  }
}

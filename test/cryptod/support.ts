import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CryptodDaemon, type CryptodDaemonOptions } from '../../src/cryptod/daemon.ts';
import { CryptoDevice } from '../../src/ocf/crypto-device.ts';

/** Ciphers besides the AEADs come from DPDK here; where it is not, tests of them say that they were skipped. */
export const BLOCK_DRIVERS = ((): readonly string[] => {
  const drivers = ['soft', 'dpdk:crypto_aesni_mb'];
  try {
    new CryptoDevice({ drivers }).close();
    return drivers;
  } catch {
    return ['soft'];
  }
})();
export const haveBlockCiphers = ((): boolean => {
  const device = new CryptoDevice({ drivers: BLOCK_DRIVERS, allowSoftware: true });
  try {
    device.openSession({ chain: [{ name: 'aes-128-cbc', key: new Uint8Array(16) }] });
    device.openSession({ chain: [{ name: 'aes-128-cbc', key: new Uint8Array(16) }] });
    return true;
  } catch {
    return false;
  } finally {
    device.close();
  }
})();

/** A folder for a socket, and daemons on it; remove() ends all. */
export class Place {
  readonly directory = mkdtempSync(join(tmpdir(), 'socrypt-cryptod-'));
  readonly #daemons: CryptodDaemon[] = [];

  get socket(): string {
    return join(this.directory, 'socket');
  }
  daemon(options: Partial<CryptodDaemonOptions> = {}): CryptodDaemon {
    const daemon = new CryptodDaemon({ path: this.socket, allowSoftware: true, ...options });
    daemon.start();
    this.#daemons.push(daemon);
    return daemon;
  }
  remove(): void {
    for (const daemon of this.#daemons) daemon.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** An openssl.cnf with our provider beside the default one, preferred. `more`: lines of its section. */
export const opensslConfiguration = (
  module: string,
  socket: string,
  more = '',
): string => `openssl_conf = init
[init]
providers = providers
alg_section = algorithms
[providers]
default = default_section
socrypt = socrypt_section
[default_section]
activate = 1
[socrypt_section]
module = ${module}
socket = ${socket}
${more}activate = 1
[algorithms]
default_properties = ?provider=socrypt
`;

import { expect } from 'vitest';
import type { ClientConfig, ServerConfig } from '../../../src/tls/index.ts';
import { Driver } from '../../support/handshake-driver.ts';
import { P256, P384, X25519 } from '../../support/node-crypto-provider.ts';
import { FACTS, type Hello12, TestClient12 } from '../../support/tls12-client.ts';

export const ALL_SUITES = Object.keys(FACTS).map(Number);
export const CONFIG_12: Partial<ServerConfig> = {
  versions: [0x0304, 0x0303],
  suites: [0x1301, ...ALL_SUITES],
  groups: [X25519, P256, P384],
};

/** By the names of openssl. */
export const SUITES = {
  'ECDHE-ECDSA-AES128-GCM-SHA256': 0xc02b,
  'ECDHE-ECDSA-AES256-GCM-SHA384': 0xc02c,
  'ECDHE-ECDSA-CHACHA20-POLY1305': 0xcca9,
  'ECDHE-RSA-AES128-GCM-SHA256': 0xc02f,
  'ECDHE-RSA-AES256-GCM-SHA384': 0xc030,
  'ECDHE-RSA-CHACHA20-POLY1305': 0xcca8,
} as const;

export const CLIENT_12: Partial<ClientConfig> = {
  versions: [0x0304, 0x0303],
  suites: [0x1301, ...Object.values(SUITES)],
  now: Date.now,
  signatureSchemes: [0x0403, 0x0503, 0x0807, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601],
};

/** A full handshake, in portions of `portion` bytes. */
export function complete12(options: Hello12 = {}, changes: Partial<ServerConfig> = {}, portion = 65_536) {
  const client = new TestClient12(options);
  // A client that names one group wants that one.
  const driver = new Driver({ ...CONFIG_12, groups: options.groups ?? [X25519, P256, P384], ...changes });
  feedAll(client, driver, client.helloRecord(), portion);
  expect(driver.failed).toBeUndefined();
  feedAll(client, driver, client.secondFlight(), portion);
  expect(driver.failed).toBeUndefined();
  return { client, driver, established: driver.established! };
}

export function feedAll(client: TestClient12, driver: Driver, bytes: Uint8Array, portion = 65_536): void {
  for (let at = 0; at < bytes.length; at += portion) {
    client.receive(driver.feed(Buffer.from(bytes.subarray(at, at + portion))));
  }
}

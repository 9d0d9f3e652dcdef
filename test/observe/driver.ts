/** A driver as metrics are told of one. */
import type { DriverInfo } from '../../src/ocf/driver-info.ts';
import type { DriverId } from '../../src/ocf/params.ts';

export function driverNamed(name: string, id = 1): DriverInfo {
  const offer = { withdrawn: false, learned: 1, cost: { batchNs: 1, opNs: 1, byteNs: 1, lanes: 1 } };
  return {
    id: id as DriverId,
    name,
    kind: 'accelerator',
    synchronous: false,
    random: false,
    state: 'running',
    maxLength: null,
    queueDepth: 256,
    maxSessions: null,
    sessions: id === 0 ? 0 : 3,
    inFlight: id === 0 ? 0 : 2,
    queued: 0,
    ops: 5,
    bytes: 500,
    failed: 1,
    refused: 6,
    rescued: 7,
    checks: 8,
    wrong: 9,
    offers: [
      { ...offer, algorithm: 'aes-128-gcm', mac: null, ops: 4, bytes: 400, failed: 1, sessions: 3 },
      { ...offer, algorithm: 'aes-128-cbc', mac: 'hmac-sha1', ops: 1, bytes: 100, failed: 0, sessions: 0 },
      { ...offer, algorithm: 'aes-128-ctr', mac: null, ops: 0, bytes: 0, failed: 0, sessions: 0 },
    ],
  };
}

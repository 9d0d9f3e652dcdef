/** The option `offload` nic: the NIC out of the settings, and what is said of it. */
import { SocryptError } from '../errors.ts';
import type { EngineNic, NicStatus } from '../native.ts';
import { LentNic, type Nic, type NicLog, OwnNic } from '../nic/nic.ts';
import { type AskedNic, askedNic } from '../nic/operators.ts';
import { flowsSocket } from '../nic/places.ts';
import type { OffloadReport } from './offload.ts';
import { NIC } from './options/nic.ts';
import { flagOf, type OptionKey, type Settings } from './options.ts';

const LOOPBACK = '127.0.0.1';
/** What `socrypt nic up` decides for all. */
const OWN: readonly OptionKey[] = [
  'wire',
  'portDriver',
  'hostPort',
  'hostDriver',
  'address',
  'gateway',
  'resync',
  'traceRecords',
];

/** What the options of the NIC cannot mean together. */
export function nicProblems(settings: Settings, isDefault: (key: OptionKey) => boolean): string[] {
  if (settings.offload !== 'nic') {
    const given = (Object.keys(NIC) as OptionKey[]).filter((key) => !isDefault(key));
    return given.map(
      (key) =>
        `${key} (--${flagOf(key)}) is about the inline NIC, but offload is ${settings.offload}; give --offload nic, or leave it out.`,
    );
  }
  const problems: string[] = [];
  if (settings.nic !== null) {
    for (const key of OWN)
      if (!isDefault(key))
        problems.push(
          `${key} (--${flagOf(key)}) is for whoever makes the NIC; it is lent here (--nic ${settings.nic}): leave it out.`,
        );
    return problems;
  }
  if (settings.wire === null && !settings.portDriver.startsWith('dpdk:'))
    problems.push(
      'offload nic expects the interface that the NIC takes over, a DPDK device, or the NIC of `socrypt nic up`; give wire (--wire eth0), portDriver (--port-driver dpdk:0000:03:00.0) or nic (--nic socrypt0).',
    );
  if (settings.address.length === 0)
    problems.push(
      'offload nic expects an address for the host port; give address (--address 192.0.2.10/24).',
    );
  return problems;
}

/** Where to listen: nobody comes through the NIC to the loopback address, which is the default. */
export function listeningHost({ offload, host, address, nic }: Settings): string {
  if (offload !== 'nic' || host !== LOOPBACK) return host;
  // Every address, those of the host port among them.
  if (nic !== null) return '::';
  return address.length === 1 ? address[0]!.split('/')[0]! : '::';
}

export function attachNic(settings: Settings, log: NicLog): Nic {
  if (settings.nic !== null) return new LentNic(flowsSocket(settings.nic), log);
  return new OwnNic(
    {
      wire: settings.wire,
      portDriver: settings.portDriver,
      hostPort: settings.hostPort,
      hostDriver: settings.hostDriver,
      addresses: settings.address,
      gateways: settings.gateway,
      resync: settings.resync,
      traceRecords: settings.traceRecords,
    },
    log,
  );
}

/** For operators. Throws ERR_SOCRYPT_NO_NIC. */
export function servedNic(nic: Nic | undefined, { offload, nic: lent }: Settings): AskedNic {
  if (nic instanceof OwnNic) return askedNic(nic);
  if (offload !== 'nic')
    throw new SocryptError(
      'ERR_SOCRYPT_NO_NIC',
      `Expected a server with a NIC of its own, but its option offload is ${offload}; start it with --offload nic --wire IFACE.`,
    );
  if (lent === null)
    throw new SocryptError('ERR_SOCRYPT_CLOSED', 'Expected a running server, but it is closed.');
  throw new SocryptError(
    'ERR_SOCRYPT_NO_NIC',
    `Expected a server with a NIC of its own, but that of this one is lent by \`socrypt nic up\`; ask there: socrypt nic status ${lent}, socrypt nic flows ${lent}, socrypt nic trace FLOW ${lent}.`,
  );
}

export function engineNic(nic: Nic, settings: Settings): EngineNic {
  return {
    native: nic.native,
    mustRetain: settings.resync !== 'order-free',
    zeroCopy: settings.zeroCopy,
    onDeviceLoss: settings.onDeviceLoss,
  };
}

export function nicReport(status: NicStatus, settings: Settings, software: string): OffloadReport {
  const { resync } = settings;
  const hostPort = settings.nic === null ? settings.hostPort : status.hostPort;
  const copied = settings.zeroCopy === 'copy' || resync !== 'order-free';
  const files = copied ? 'files are copied' : 'files are not copied, and watched while they are sent';
  return {
    path: 'nic',
    engine: `inline NIC on ${status.wirePort}; host port ${status.hostPort}`,
    reason: `asked for by the option offload; ${resync}; ${files}; sockets ${status.guard}`,
    others: [
      {
        path: 'software',
        why: `${software} seals for connections whose way does not pass ${hostPort}, and opens what all of them send`,
      },
    ],
  };
}

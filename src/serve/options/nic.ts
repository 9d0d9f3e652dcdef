/** The inline NIC: with `offload` nic. */
import { isIP } from 'node:net';
import { choice, count, list, optionalText, text } from '../option.ts';

const INTERFACE = {
  placeholder: 'NAME',
  expected: 'the name of a network interface, 1 to 15 characters',
  example: 'eth0',
  pattern: /^[^\s/:]{1,15}$/,
};
/** Without a zone: the interface is the host port. */
const isAddress = (text: string): boolean => isIP(text) !== 0 && !text.includes('%');
function isCidr(text: string): boolean {
  const [address = '', prefix = '', more] = text.split('/');
  return (
    isAddress(address) &&
    more === undefined &&
    /^\d{1,3}$/.test(prefix) &&
    Number(prefix) <= (isIP(address) === 4 ? 32 : 128)
  );
}

export const NIC = {
  /** The NIC that `socrypt nic up` lends, by its host port's name; null: the server makes its own. */
  nic: optionalText(
    {
      group: 'nic',
      help: 'Use the NIC that `socrypt nic up` lends, by the name of its host port, instead of making one',
      default: null,
    },
    { ...INTERFACE, example: 'socrypt0' },
  ),
  /** The interface that the NIC takes over; null: there is no NIC. */
  wire: optionalText(
    {
      group: 'nic',
      help: 'Interface that the NIC takes over: all that arrives there comes through the NIC, and addresses that it has are out of use',
      default: null,
    },
    INTERFACE,
  ),
  /** Driver of the wire port. */
  portDriver: text(
    {
      group: 'nic',
      help: "How frames come from the wire and go to it: by AF_XDP, or by a DPDK device; without `wire` its address and MTU are the host port's, too",
      default: 'af_xdp',
    },
    {
      placeholder: 'af_xdp|dpdk:DEVICE',
      expected:
        'af_xdp, or dpdk: with the name and the arguments of a DPDK device or a PCI address (dpdk:net_af_packet0,iface=eth0, dpdk:0000:03:00.0)',
      example: 'af_xdp',
      pattern:
        /^(?:af_xdp|dpdk:[A-Za-z][\w.-]*(?:,[\w-]+=[^,\s]+)*|dpdk:(?:[\da-fA-F]{4}:)?[\da-fA-F]{2}:[\da-fA-F]{2}\.[0-7](?:,[\w-]+=[^,\s]+)*)$/,
    },
  ),
  /** Name of the interface that connections go through. */
  hostPort: text(
    {
      group: 'nic',
      help: 'Name of the interface that is made for connections through the NIC; it goes with the server',
      default: 'socrypt0',
    },
    { ...INTERFACE, example: 'socrypt0' },
  ),
  /** What the host port is. */
  hostDriver: choice(
    {
      group: 'nic',
      help: 'What the host port is: a tap, whose segments of up to 64 KiB the NIC cuts, or one end of a veth, one packet at a time',
      default: 'tap',
    },
    ['tap', 'veth'],
  ),
  /** Addresses of the host port. */
  address: list<string>(
    { group: 'nic', help: 'Address of the host port with its prefix; once per address', default: [] },
    {
      placeholder: 'CIDR',
      expected: 'an IPv4 or IPv6 address with the length of its prefix',
      example: '192.0.2.10/24',
      pattern: { test: isCidr },
    },
  ),
  /** Default routes through the host port. */
  gateway: list<string>(
    {
      group: 'nic',
      help: 'Router for a default route through the host port; once for each of IPv4 and IPv6',
      default: [],
    },
    {
      placeholder: 'ADDRESS',
      expected: 'an IPv4 or IPv6 address',
      example: '192.0.2.1',
      pattern: { test: isAddress },
    },
  ),
  /** How the NIC seals a segment that does not come in order. */
  resync: choice(
    {
      group: 'nic',
      help: 'How the NIC seals a segment that does not come in order; the bytes are the same',
      default: 'order-free',
    },
    ['order-free', 'prefix-replay', 'next-record'],
  ),
  /** Bounds what a flow's trace holds: 64 bytes each. */
  traceRecords: count({
    group: 'nic',
    help: 'Records of each flow that are traced, the last ones, rounded up to a power of two (socrypt nic trace); 0: none',
    default: 64,
    min: 0,
    max: 65_536,
  }),
  /** How a file gets into records. */
  zeroCopy: choice(
    {
      group: 'nic',
      help: 'Files go to the NIC without being copied, and one that changes under a transfer ends it; or they are copied',
      default: 'guard',
    },
    ['guard', 'copy'],
  ),
  /** What becomes of connections when the NIC dies. */
  onDeviceLoss: choice(
    {
      group: 'nic',
      help: 'When the NIC dies: go on in software, what was sent unsealed waiting for a successor; or close the connections',
      default: 'software',
    },
    ['software', 'close'],
  ),
};

/** Ethernet frames with TCP over IPv4, and files of them: made, and read by a reader that shares nothing with what wrote. */

/** RFC 1071; of a frame that is right, over what its checksum covers: 0. */
function checksum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  const bytes = Buffer.concat(parts);
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** What a TCP checksum covers beside the segment (RFC 9293 3.1). */
const pseudoHeader = (ip: Buffer, length: number): Buffer =>
  Buffer.concat([ip.subarray(12, 20), Buffer.from([0, 6, length >> 8, length & 255])]);

export interface Segment {
  readonly sequence: number;
  readonly payload: Buffer;
}

/** From 10.9.0.1:443 to 10.9.0.2:50000. */
export function frameOf({ sequence, payload }: Segment): Buffer {
  const ethernet = Buffer.from('020000000002' + '020000000001' + '0800', 'hex');
  const ip = Buffer.from('45000000000040004006' + '0000' + '0a090001' + '0a090002', 'hex');
  ip.writeUInt16BE(40 + payload.length, 2);
  ip.writeUInt16BE(checksum(ip), 10);
  const tcp = Buffer.from('01bbc350' + '00000000' + '00000001' + '5010ffff' + '00000000', 'hex');
  tcp.writeUInt32BE(sequence >>> 0, 4);
  tcp.writeUInt16BE(checksum(pseudoHeader(ip, 20 + payload.length), tcp, payload), 16);
  return Buffer.concat([ethernet, ip, tcp, payload]);
}

/** Undefined: no TCP over IPv4. Throws where a checksum is wrong. */
export function segmentOf(frame: Buffer): Segment | undefined {
  if (frame.readUInt16BE(12) !== 0x0800 || frame[14 + 9] !== 6) return undefined;
  const ip = frame.subarray(14, 34);
  const tcp = frame.subarray(34, 14 + ip.readUInt16BE(2));
  if (checksum(ip) !== 0) throw new Error('the checksum of an IP header is wrong');
  if (checksum(pseudoHeader(ip, tcp.length), tcp) !== 0) throw new Error('a TCP checksum is wrong');
  return { sequence: tcp.readUInt32BE(4), payload: tcp.subarray((tcp[12]! >> 4) * 4) };
}

// https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html; magic numbers of microseconds and nanoseconds.
const MICROSECONDS = 0xa1b2c3d4;
const NANOSECONDS = 0xa1b23c4d;
const ETHERNET = 1;

export function writePcap(frames: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(MICROSECONDS, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(65_535, 16);
  head.writeUInt32LE(ETHERNET, 20);
  const parts: Buffer[] = [head];
  for (const frame of frames) {
    const packet = Buffer.alloc(16);
    packet.writeUInt32LE(frame.length, 8);
    packet.writeUInt32LE(frame.length, 12);
    parts.push(packet, frame);
  }
  return Buffer.concat(parts);
}

export function readPcap(file: Buffer): Buffer[] {
  const magic = file.readUInt32LE(0);
  if (magic !== MICROSECONDS && magic !== NANOSECONDS) throw new Error('no pcap file of this byte order');
  if (file.readUInt32LE(20) !== ETHERNET) throw new Error('not of Ethernet');
  const frames: Buffer[] = [];
  for (let at = 24; at < file.length; ) {
    const length = file.readUInt32LE(at + 8);
    if (length !== file.readUInt32LE(at + 12)) throw new Error('a frame is not whole');
    frames.push(file.subarray(at + 16, at + 16 + length));
    at += 16 + length;
  }
  return frames;
}

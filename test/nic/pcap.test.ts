/**
 * The device between files of packets (DPDK's net_pcap): what it writes as the wire is read by a reader of our own, put
 * together as TCP would, and opened by node:crypto. No rights are needed.
 */
import { execFileSync } from 'node:child_process';
import { createDecipheriv, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { random } from '../support/random.ts';
import { frameOf, readPcap, type Segment, segmentOf, writePcap } from './frames.ts';
import { buildTools, tools, whyNoDpdkPlugin, whyNoDriver } from './network.ts';

const reason = whyNoDpdkPlugin() ?? whyNoDriver('net_pcap');
const seed = Number(process.env.SOCRYPT_SEED ?? (Math.random() * 2 ** 31) >>> 0);
const CANARY = 'this-is-plaintext-and-must-not-be-on-the-wire';
const HEADER = 5;
const TAG = 16;

/** A record as the server writes it (RFC 8446 5.2): the content's type behind it, room for the tag. */
function framed(content: Buffer): Buffer {
  const record = Buffer.alloc(HEADER + content.length + 1 + TAG);
  record.writeUIntBE(0x170303, 0, 3);
  record.writeUInt16BE(record.length - HEADER, 3);
  content.copy(record, HEADER);
  record[HEADER + content.length] = 23;
  return record;
}

function open(record: Buffer, key: Buffer, iv: Buffer, number: number): Buffer {
  const nonce = Buffer.from(iv);
  nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ number) >>> 0, 8);
  const decipher = createDecipheriv('aes-128-gcm', key, nonce);
  decipher.setAAD(record.subarray(0, HEADER));
  decipher.setAuthTag(record.subarray(-TAG));
  return Buffer.concat([decipher.update(record.subarray(HEADER, -TAG)), decipher.final()]);
}

/** Bytes `from` to `to` of the stream, anywhere within records. */
const cut = (stream: Buffer, start: number, from: number, to: number): Segment => ({
  sequence: (start + from) >>> 0,
  payload: stream.subarray(from, to),
});

describe.skipIf(reason !== null)(
  `files of packets by DPDK${reason === null ? '' : ` (skipped: ${reason})`}`,
  () => {
    let folder: string | undefined;
    beforeAll(() => {
      console.log(`nic: seed ${seed} (SOCRYPT_SEED repeats it)`);
      buildTools();
      folder = mkdtempSync(join(tmpdir(), 'socrypt-pcap-'));
    }, 300_000);
    afterAll(() => {
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    });

    it('records out of order, twice, and among other frames: node:crypto opens what was written', () => {
      const below = random(seed);
      const [key, iv] = [randomBytes(16), randomBytes(12)];
      const contents = Array.from({ length: 60 }, () =>
        Buffer.from(CANARY.repeat(400)).subarray(0, 1 + below(below(2) === 0 ? 300 : 16_384)),
      );
      const records = contents.map(framed);
      const stream = Buffer.concat(records);
      // TCP's numbers wrap on the way.
      const start = 2 ** 32 - (stream.length >> 1);
      const segments: Segment[] = [];
      for (let at = 0; at < stream.length; ) {
        const end = Math.min(stream.length, at + 1 + below(1448));
        // Some begin before the last one ended.
        segments.push(cut(stream, start, Math.max(0, at - below(3) * 100), end));
        at = end;
      }
      // In no order; then as TCP would send again what could not leave, since other bytes under its tag were yet to come.
      const again = [...segments];
      for (let i = segments.length - 1; i > 0; --i) {
        const j = below(i + 1);
        [segments[i], segments[j]] = [segments[j]!, segments[i]!];
      }
      const other = Buffer.concat([Buffer.from('ffffffffffff0200000000010806', 'hex'), randomBytes(46)]);
      const host = [...segments, ...again].flatMap((segment, i) =>
        i % 10 === 0 ? [other, frameOf(segment)] : [frameOf(segment)],
      );
      const wire = Array.from({ length: 300 }, () =>
        Buffer.concat([Buffer.from('0200000000010200000000020806', 'hex'), randomBytes(46 + below(1400))]),
      );

      const file = (name: string): string => join(folder!, `${name}.pcap`);
      writeFileSync(file('host'), writePcap(host));
      writeFileSync(file('wire'), writePcap(wire));
      const said = execFileSync(
        `${tools}dpdk_nic`,
        [
          `net_pcap0,rx_pcap=${file('host')},tx_pcap=${file('to-host')}`,
          `net_pcap1,rx_pcap=${file('wire')},tx_pcap=${file('to-wire')}`,
          key.toString('hex'),
          iv.toString('hex'),
          String(start),
          ...records.map((record) => String(record.length)),
        ],
        { encoding: 'utf8' },
      );
      const counters = JSON.parse(said) as Record<string, number>;

      const written = readPcap(readFileSync(file('to-wire')));
      expect(written.some((frame) => frame.includes(CANARY.slice(0, 24)))).toBe(false);
      expect(written.filter((frame) => frame.equals(other)).length).toBe(Math.ceil(segments.length / 5));
      // Every byte, however often it was sent, has one value.
      const sealed = Buffer.alloc(stream.length);
      const seen = new Uint8Array(stream.length);
      let differing = 0;
      let sealedSegments = 0;
      for (const frame of written) {
        const segment = segmentOf(frame);
        if (segment === undefined) continue;
        ++sealedSegments;
        const at = (segment.sequence - start) >>> 0;
        for (const [i, byte] of segment.payload.entries()) {
          if (seen[at + i] === 1 && sealed[at + i] !== byte) ++differing;
          sealed[at + i] = byte;
          seen[at + i] = 1;
        }
      }
      expect(differing).toBe(0);
      expect(seen.every((one) => one === 1)).toBe(true);
      expect(sealedSegments).toBeGreaterThan(segments.length);
      expect(counters.tx_tls_encrypted_packets).toBe(sealedSegments);
      let at = 0;
      for (const [number, record] of records.entries()) {
        const opened = open(sealed.subarray(at, at + record.length), key, iv, number);
        expect(opened.equals(Buffer.concat([contents[number]!, Buffer.from([23])])), `record ${number}`).toBe(
          true,
        );
        at += record.length;
      }
      // The other way all passes as it is.
      const arrived = readPcap(readFileSync(file('to-host')));
      expect(arrived.length).toBe(wire.length);
      expect(arrived.every((frame, i) => frame.equals(wire[i]!))).toBe(true);
    });
  },
);

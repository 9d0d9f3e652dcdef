/** The packing of messages to and from an engine; native/engine/messages.hpp reads and writes the same. */
import { expect, test } from 'vitest';
import { Down, MessageReader, MessageWriter, Up } from '../../src/plane/messages.ts';

const bytesOf = (writer: MessageWriter) => Buffer.from(writer.buffer.subarray(0, writer.length));

test('a message is its header, its fields in order, and padding to eight bytes', () => {
  const writer = new MessageWriter();
  writer.begin(Down.HandshakeSend, 0x1f_0000_0002);
  writer.bytes(Uint8Array.of(1, 2, 3));
  writer.end();
  expect(bytesOf(writer).toString('hex')).toBe(
    ['17000000', '0100', '0000', '020000001f000000', '03000000', '010203', '00'].join(''),
  );
});

test('what an engine has taken is gone from the buffer, the rest moves up', () => {
  const writer = new MessageWriter();
  for (const id of [1, 2, 3]) {
    writer.begin(Down.HandshakeMore, id);
    writer.end();
  }
  writer.taken(32);
  expect(writer.length).toBe(16);
  expect(bytesOf(writer).readUInt32LE(8)).toBe(3);
  expect(Buffer.from(writer.buffer.subarray(16, 48)).every((byte) => byte === 0)).toBe(true);
});

test('a buffer that grows keeps what it had and leaves no copy behind', () => {
  const writer = new MessageWriter();
  const before = writer.buffer;
  writer.begin(Down.PostMore, 1);
  writer.bytes(new Uint8Array(1000).fill(7));
  writer.bytes(new Uint8Array(200_000).fill(8));
  writer.end();
  expect(writer.buffer).not.toBe(before);
  expect(before.every((byte) => byte === 0)).toBe(true);
  const all = bytesOf(writer);
  expect(all.readUInt32LE(0)).toBe(16 + 4 + 1000 + 4 + 200_000);
  expect(all[20]).toBe(7);
  expect(all[16 + 4 + 1000 + 4]).toBe(8);
});

test('a batch is read message by message, ids up to 53 bits', () => {
  const batch = Buffer.alloc(64);
  batch.writeUInt32LE(24, 0);
  batch.writeUInt16LE(Up.HandshakeClosed, 4);
  batch.writeBigUInt64LE(0x1f_ffff_ffff_ffffn, 8);
  batch[16] = 4;
  batch.writeUInt32LE(24, 24);
  batch.writeUInt16LE(Up.Notice, 28);
  batch.writeUInt32LE(2, 40);
  const reader = new MessageReader(batch);
  reader.rewind();
  expect(reader.next(48)).toBe(true);
  expect([reader.type, reader.id, reader.u8()]).toEqual([Up.HandshakeClosed, Number.MAX_SAFE_INTEGER, 4]);
  expect(reader.next(48)).toBe(true);
  expect([reader.type, reader.u32()]).toEqual([Up.Notice, 2]);
  expect(reader.next(48)).toBe(false);
});

test('names of any script reach the engine as UTF-8', () => {
  const writer = new MessageWriter();
  writer.resolution(5, {
    kind: 'fixed',
    status: 404,
    headers: '',
    body: new Uint8Array(0),
    dependencies: [{ path: 'größe/文', identity: null }],
    cacheable: true,
  });
  expect(bytesOf(writer).includes(Buffer.from('größe/文'))).toBe(true);
});

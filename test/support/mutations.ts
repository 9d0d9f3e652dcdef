/** What a hostile or broken network does to a flight: arbitraries of fast-check, and how they are applied. */
import fc from 'fast-check';

export interface Mutation {
  readonly kind: (typeof KINDS)[number];
  /** Which flight, which record in it, which byte in that: each taken modulo what there is. */
  readonly flight: number;
  readonly record: number;
  readonly at: number;
  readonly value: number;
  readonly bytes: Uint8Array;
}

const KINDS = [
  'flip',
  'set',
  'truncate',
  'remove',
  'insert',
  'duplicateRecord',
  'swapRecords',
  'dropRecord',
  'splice',
  'recordLength',
  'recordType',
  'messageLength',
  'splitRecord',
] as const;

export const mutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.record({
    kind: fc.constantFrom(...KINDS),
    flight: fc.nat(),
    record: fc.nat(),
    at: fc.nat(),
    value: fc.nat({ max: 0xffff }),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
  }),
  { minLength: 1, maxLength: 3 },
);

/** Cut where record headers say; what is left of a last one is a piece, too. */
export function records(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = at + 5 <= bytes.length ? 5 + bytes.readUInt16BE(at + 3) : bytes.length;
    found.push(bytes.subarray(at, at + length));
    at += length;
  }
  return found;
}

/** `foreign`: flights of another connection, to be spliced in. */
export function mutate(
  flights: readonly Buffer[],
  list: readonly Mutation[],
  foreign: readonly Buffer[],
): Buffer[] {
  const result: Buffer[] = flights.map((flight) => Buffer.from(flight));
  for (const mutation of list) {
    const index = mutation.flight % result.length;
    result[index] = change(result[index]!, mutation, foreign);
  }
  return result;
}

function change(flight: Buffer, mutation: Mutation, foreign: readonly Buffer[]): Buffer {
  if (flight.length === 0) return flight;
  const parts: Buffer[] = records(flight);
  const index = mutation.record % parts.length;
  const record: Buffer = Buffer.from(parts[index]!);
  const at = mutation.at % record.length;
  const { value } = mutation;
  const put = (...replacement: Buffer[]) => Buffer.concat(parts.toSpliced(index, 1, ...replacement));
  switch (mutation.kind) {
    case 'flip':
      record[at]! ^= 1 << (value & 7);
      return put(record);
    case 'set':
      record[at] = [0, 1, 0x7f, 0x80, 0xff, value & 0xff][value % 6]!;
      return put(record);
    case 'truncate':
      return Buffer.concat([...parts.slice(0, index), record.subarray(0, at)]);
    case 'remove':
      return put(record.subarray(0, at), record.subarray(Math.min(record.length, at + 1 + (value % 9))));
    case 'insert':
      return put(record.subarray(0, at), Buffer.from(mutation.bytes), record.subarray(at));
    case 'duplicateRecord':
      return put(record, record);
    case 'dropRecord':
      return put();
    case 'swapRecords': {
      const other = (index + 1) % parts.length;
      [parts[index], parts[other]] = [parts[other]!, parts[index]!];
      return Buffer.concat(parts);
    }
    case 'splice': {
      const theirs = records(foreign[value % foreign.length]!);
      return put(theirs[mutation.at % theirs.length]!);
    }
    case 'recordLength':
      if (record.length < 5) return flight;
      record.writeUInt16BE(value % 3 === 0 ? value : (record.readUInt16BE(3) + (value % 5) - 2) & 0xffff, 3);
      return put(record);
    case 'recordType':
      record[0] = value % 4 === 0 ? value & 0xff : 20 + (value % 5);
      return put(record);
    case 'messageLength':
      if (record.length < 9) return flight;
      record[6 + (value % 3)] = value >> 8;
      return put(record);
    case 'splitRecord': {
      // The same message in two records, which is allowed for handshake messages that are not protected.
      if (record.length < 7) return flight;
      const length = 1 + (at % (record.length - 6));
      const first = Buffer.concat([
        record.subarray(0, 3),
        Buffer.of(length >> 8, length),
        record.subarray(5, 5 + length),
      ]);
      const rest = record.length - 5 - length;
      const second = Buffer.concat([
        record.subarray(0, 3),
        Buffer.of(rest >> 8, rest),
        record.subarray(5 + length),
      ]);
      return put(first, second);
    }
  }
}

/** `SOCRYPT_TEST_CASES`, or as many as usual. */
export function cases(usual: number): number {
  return Number(process.env.SOCRYPT_TEST_CASES ?? usual);
}

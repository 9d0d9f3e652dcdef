/** Extensions that change what the server sends: record_size_limit, status_request, SCTs; and exporters. */
import { describe, expect, test } from 'vitest';
import type { ClientOffer } from '../../src/tls/index.ts';
import { credential, Driver } from '../support/handshake-driver.ts';
import { sessionTickets } from '../support/session-tickets.ts';
import { type Extension, type HelloOptions, TestClient, u16, vector16 } from '../support/tls13-client.ts';

function complete(options: HelloOptions, changes: ConstructorParameters<typeof Driver>[0] = {}) {
  const client = new TestClient(options);
  const driver = new Driver(changes);
  const sent = driver.feed(client.helloRecord());
  client.receive(sent);
  const last = driver.feed(client.seal(22, client.finished()));
  client.receive(last);
  return { client, driver, sent: Buffer.concat([sent, last]), established: driver.established! };
}

/** Lengths of the protected records in `bytes`. */
function protectedLengths(bytes: Buffer): number[] {
  const lengths: number[] = [];
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
    if (bytes[at] === 23) lengths.push(bytes.readUInt16BE(at + 3));
  }
  return lengths;
}

const plus =
  (...more: Extension[]) =>
  (list: Extension[]) => [...list, ...more];

describe('record_size_limit', () => {
  test.each([
    [64, 63],
    [512, 511],
    [16_384, 16_383],
    [16_385, 16_384],
    [65_535, 16_384],
  ])('of %i: no record has more than %i bytes of content, and the data plane is told', (limit, content) => {
    const edit = plus([28, u16(limit)]);
    const tickets = sessionTickets();
    const chain = [new Uint8Array(20_000).fill(0x30)];
    const { client, sent, established } = complete(
      { edit, pskModes: [1] },
      { tickets, selectCredential: () => ({ ...credential, chain }) },
    );
    const lengths = protectedLengths(sent);
    // Content, its type, and the tag.
    expect(Math.max(...lengths)).toBe(content + 1 + 16);
    expect(established.info.maxFragment).toBe(content);
    expect(client.sessions).toHaveLength(2);
    expect(established.tx.recordSeq).toBe(client.rx!.seq);
    // Our own: all that the protocol allows.
    const extensions = client.messages.find(({ type }) => type === 8)!.body;
    expect(extensions.toString('hex')).toBe('0006001c00024001');
  });

  test('is not spoken of unless the client does', () => {
    const { client, established } = complete({});
    expect(client.messages.find(({ type }) => type === 8)!.body.toString('hex')).toBe('0000');
    expect(established.info.maxFragment).toBe(16_384);
  });
});

describe('what goes with the leaf', () => {
  const ocspResponse = Buffer.from('3003020100', 'hex');
  const sctList = Buffer.from('00040002beef', 'hex');
  const full = { ...credential, chain: [Buffer.of(1, 2, 3), Buffer.of(4, 5)], ocspResponse, sctList };
  const certificateOf = (edit: HelloOptions['edit'], given = full) =>
    complete(edit === undefined ? {} : { edit }, { selectCredential: () => given })
      .client.messages.find(({ type }) => type === 11)!
      .body.toString('hex');
  const status: Extension = [5, Buffer.from('0100000000', 'hex')];
  const scts: Extension = [18, Buffer.alloc(0)];

  test('is sent to those who ask for it, and to the leaf alone', () => {
    expect(certificateOf(plus(status, scts))).toBe(
      '00000026000003010203001700050009010000053003020100001200060004' + '0002beef' + '0000020405' + '0000',
    );
    expect(certificateOf(plus(status))).toContain('000d00050009010000053003020100');
    expect(certificateOf(plus(scts))).toContain('000a00120006' + '00040002beef');
    expect(certificateOf(undefined)).toBe('000000' + '0f' + '00000301020300000000020405' + '0000');
  });
  test('is left out when there is none, and for other types of status', () => {
    const none = { ...credential, chain: full.chain };
    expect(certificateOf(plus(status, scts), none as typeof full)).toBe(certificateOf(undefined));
    expect(certificateOf(plus([5, Buffer.from('0200000000', 'hex')]))).toBe(certificateOf(undefined));
  });
});

test('what the client says of certificates reaches the choice', () => {
  let offer: ClientOffer | undefined;
  const name = Buffer.from('3000', 'hex');
  complete(
    { edit: plus([47, vector16(vector16(name))], [50, vector16(u16(0x0403, 0x0401))]) },
    {
      selectCredential: (given) => {
        offer = given;
        return credential;
      },
    },
  );
  expect(offer?.certificateAuthorities?.map((der) => Buffer.from(der))).toEqual([name]);
  expect(offer?.certificateSchemes).toEqual([0x0403, 0x0401]);
});

describe('exporters', () => {
  test.each([0x1301, 0x1302])('suite %i: both ends have the same, by label and context', (suite) => {
    const { client, established } = complete({ suites: [suite] });
    const { exporter } = established;
    const seen = new Set<string>();
    for (const [label, context, length] of [
      ['EXPORTER-Channel-Binding', '', 32],
      ['EXPORTER-Channel-Binding', 'ab', 32],
      ['other', 'ab', 16],
    ] as const) {
      const ours = Buffer.from(exporter.export(label, Buffer.from(context, 'hex'), length));
      expect(ours).toEqual(Buffer.from(client.exportKey(label, Buffer.from(context, 'hex'), length)));
      seen.add(ours.toString('hex'));
    }
    expect(seen.size).toBe(3);
    // RFC 8446 7.5: no context is the same as an empty one.
    expect(exporter.export('x', undefined, 32)).toEqual(exporter.export('x', Buffer.alloc(0), 32));
  });

  test('refuse what they cannot do, and anything once wiped', () => {
    const { exporter } = complete({}).established;
    expect(() => exporter.export('\u{e9}', undefined, 32)).toThrow(RangeError);
    expect(exporter.export('', undefined, 32)).toHaveLength(32);
    expect(() => exporter.export('x'.repeat(250), undefined, 32)).toThrow(RangeError);
    expect(() => exporter.export('x', undefined, 0)).toThrow(RangeError);
    expect(() => exporter.export('x', undefined, 255 * 48 + 1)).toThrow(RangeError);
    exporter.wipe();
    expect(() => exporter.export('x', undefined, 32)).toThrow(/wiped/);
  });
});

/** TLS 1.2: every message in every state, and every refusal with its reason and alert. */
import { describe, expect, test } from 'vitest';
import type { Reason } from '../../../src/tls/index.ts';
import { Driver } from '../../support/handshake-driver.ts';
import { CCS, type Hello12, TestClient12 } from '../../support/tls12-client.ts';
import { type Extension, message, record, vector8 } from '../../support/tls13-client.ts';
import { ALL_SUITES, CONFIG_12 } from './support.ts';

type StateName = 'ExpectClientKeyExchange' | 'ExpectChangeCipherSpec' | 'ExpectFinished';
const STATES: readonly StateName[] = ['ExpectClientKeyExchange', 'ExpectChangeCipherSpec', 'ExpectFinished'];

interface Stage {
  readonly client: TestClient12;
  readonly driver: Driver;
  wrap(type: number, content: Uint8Array): Buffer;
}

function reach(state: StateName, options: Hello12 = {}): Stage {
  const client = new TestClient12(options);
  const driver = new Driver(CONFIG_12);
  client.receive(driver.feed(client.helloRecord()));
  if (state !== 'ExpectClientKeyExchange') driver.feed(record(22, client.keyExchange()));
  if (state === 'ExpectFinished') {
    driver.feed(CCS);
    client.useKeys();
  }
  expect(driver.handshake.state).toBe(state);
  const wrap = (type: number, content: Uint8Array) =>
    state === 'ExpectFinished' ? client.seal(type, content) : record(type, content);
  return { client, driver, wrap };
}

function expectRefusal({ client, driver }: Stage, bytes: Uint8Array, reason: Reason, alert: number): void {
  client.receive(driver.feed(bytes));
  expect(driver.failed).toMatchObject({ reason, alert });
  expect(client.alerts).toEqual([alert]);
  expect(driver.handshake.state).toBe('Closed');
}

describe('State skipping: every message in every state', () => {
  const wanted: Record<StateName, number> = {
    ExpectClientKeyExchange: 16,
    ExpectChangeCipherSpec: -1,
    ExpectFinished: 20,
  };
  test.each(STATES)('%s takes its own and refuses the others', (state) => {
    for (let type = 0; type < 256; type++) {
      if (type === wanted[state]) continue;
      const stage = reach(state);
      expectRefusal(
        stage,
        stage.wrap(22, message(type, Buffer.alloc(12))),
        'unexpected_handshake_message',
        10,
      );
    }
  });
  test('a Finished behind the ClientKeyExchange, without ChangeCipherSpec', () => {
    const stage = reach('ExpectChangeCipherSpec');
    expectRefusal(stage, record(22, stage.client.finished()), 'unexpected_handshake_message', 10);
  });
  test('application data is not taken before the Finished, protected or not', () => {
    for (const state of STATES) {
      const stage = reach(state);
      expectRefusal(stage, stage.wrap(23, Buffer.alloc(40)), 'application_data_in_handshake', 10);
    }
  });
});

describe('EarlyCCS (CVE-2014-0224)', () => {
  test('before the hello', () => {
    const client = new TestClient12();
    const driver = new Driver(CONFIG_12);
    expectRefusal({ client, driver, wrap: record }, CCS, 'unexpected_change_cipher_spec', 10);
  });
  test('before the ClientKeyExchange', () => {
    expectRefusal(reach('ExpectClientKeyExchange'), CCS, 'unexpected_change_cipher_spec', 10);
  });
  test('a second one', () => {
    const plain = reach('ExpectFinished');
    // In the clear it does not decrypt; protected it is no longer one.
    expectRefusal(plain, CCS, 'record_did_not_decrypt', 20);
    const sealed = reach('ExpectFinished');
    expectRefusal(sealed, sealed.wrap(20, Buffer.of(1)), 'encrypted_change_cipher_spec', 10);
  });
  test('within a message', () => {
    const stage = reach('ExpectClientKeyExchange');
    const keyExchange = stage.client.keyExchange();
    const split = Buffer.concat([record(22, keyExchange.subarray(0, 7)), CCS]);
    expectRefusal(stage, split, 'record_between_handshake_fragments', 10);
  });
  test('behind the first bytes of a Finished', () => {
    const stage = reach('ExpectChangeCipherSpec');
    expectRefusal(
      stage,
      Buffer.concat([record(22, stage.client.finished().subarray(0, 2)), CCS]),
      'record_between_handshake_fragments',
      10,
    );
  });
  test.each([
    ['empty', Buffer.alloc(0)],
    ['2', Buffer.of(2)],
    ['two bytes', Buffer.of(1, 1)],
  ])('a ChangeCipherSpec that is %s', (_name, content) => {
    expectRefusal(reach('ExpectChangeCipherSpec'), record(20, content), 'bad_change_cipher_spec', 10);
  });
});

describe('ClientHello', () => {
  const replace =
    (type: number, body: Uint8Array) =>
    (list: Extension[]): Extension[] =>
      list.map(([each, old]) => (each === type ? [each, body] : [each, old]));
  const without =
    (type: number) =>
    (list: Extension[]): Extension[] =>
      list.filter(([each]) => each !== type);
  const cases: [string, Hello12, Reason, number][] = [
    ['compression without null', { compression: [1] }, 'bad_compression_methods', 47],
    ['point formats without uncompressed', { edit: replace(11, Buffer.of(1, 1)) }, 'bad_point_formats', 47],
    ['no point formats', { edit: replace(11, Buffer.of(0)) }, 'bad_list_length', 50],
    [
      'a renegotiation (RFC 5746 3.6)',
      { edit: replace(0xff01, vector8(Buffer.alloc(12, 1))) },
      'bad_renegotiation_info',
      40,
    ],
    ['bytes in extended_master_secret', { edit: replace(23, Buffer.of(0)) }, 'trailing_data', 50],
    ['suites of TLS 1.3 alone', { suites: [0x1301, 0x1302, 0x1303] }, 'no_common_suite', 40],
    ['CBC and static RSA', { suites: [0xc009, 0xc013, 0x009c, 0x002f] }, 'no_common_suite', 40],
    ['no groups', { edit: without(10) }, 'no_common_group', 40],
    ['groups that are not ours', { groups: [0x001e, 0x11ec] }, 'no_common_group', 40],
    ["without the certificate's curve", { groups: [0x001d] }, 'no_common_group', 40],
    ['no signature algorithms', { edit: without(13) }, 'no_common_signature_scheme', 40],
    ['SHA-1 alone', { schemes: [0x0203, 0x0201] }, 'no_common_signature_scheme', 40],
    [
      'schemes for the other kind of suite',
      { suites: [0xc02f], schemes: [0x0403] },
      'no_common_signature_scheme',
      40,
    ],
    ['a suite that the credential cannot sign for', { suites: [0xc02f] }, 'no_common_signature_scheme', 40],
    ['a fallback (RFC 7507)', { suites: [...ALL_SUITES, 0x5600] }, 'inappropriate_fallback', 86],
    ['SSL 3.0', { legacyVersion: 0x0300 }, 'ssl30_offered', 70],
  ];
  test.each(cases)('%s', (_name, options, reason, alert) => {
    const client = new TestClient12(options);
    const driver = new Driver(CONFIG_12);
    expectRefusal({ client, driver, wrap: record }, client.helloRecord(), reason, alert);
  });
  test('compression beside null is fine', () => {
    const client = new TestClient12({ compression: [1, 0] });
    client.receive(new Driver(CONFIG_12).feed(client.helloRecord()));
    expect(client.messages[0]!.type).toBe(2);
  });
  test('a fallback to the best we have is fine', () => {
    const client = new TestClient12({ suites: [...ALL_SUITES, 0x5600] });
    client.receive(new Driver({ ...CONFIG_12, versions: [0x0303] }).feed(client.helloRecord()));
    expect(client.messages[0]!.type).toBe(2);
  });
  test('another message behind it', () => {
    const client = new TestClient12();
    const driver = new Driver(CONFIG_12);
    const both = record(22, Buffer.concat([client.hello(), message(16, Buffer.of(1, 4))]));
    expectRefusal({ client, driver, wrap: record }, both, 'handshake_bytes_before_key_change', 10);
  });
});

describe('ClientKeyExchange', () => {
  const bad: [string, Uint8Array, Reason, number][] = [
    ['empty', Buffer.alloc(0), 'truncated_message', 50],
    ['an empty point', Buffer.of(0), 'bad_list_length', 50],
    ['a point that ends early', Buffer.of(32, 1, 2), 'truncated_message', 50],
    ['a byte more', Buffer.concat([vector8(Buffer.alloc(32, 9)), Buffer.of(0)]), 'trailing_data', 50],
    ['an all-zero X25519 result', vector8(Buffer.alloc(32)), 'bad_key_share', 47],
    ['a short share', vector8(Buffer.alloc(31, 9)), 'bad_key_share', 47],
  ];
  test.each(bad)('%s', (_name, body, reason, alert) => {
    expectRefusal(reach('ExpectClientKeyExchange'), record(22, message(16, body)), reason, alert);
  });
  test.each([
    ['off the curve', Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)])],
    ['compressed', Buffer.concat([Buffer.of(2), Buffer.alloc(32, 1)])],
    ['at infinity', Buffer.of(0)],
  ])('a P-256 point %s', (_name, point) => {
    const stage = reach('ExpectClientKeyExchange', { groups: [0x0017] });
    expectRefusal(stage, record(22, message(16, vector8(point))), 'bad_key_share', 47);
  });
});

describe('Finished', () => {
  test('wrong', () => {
    const stage = reach('ExpectFinished');
    const finished = stage.client.finished();
    finished[10]! ^= 1;
    expectRefusal(stage, stage.wrap(22, finished), 'bad_finished', 51);
  });
  test.each([0, 11, 13, 32])('%i bytes', (length) => {
    const stage = reach('ExpectFinished');
    expectRefusal(stage, stage.wrap(22, message(20, Buffer.alloc(length))), 'bad_finished_length', 51);
  });
  test('with another message behind it', () => {
    const stage = reach('ExpectFinished');
    const both = Buffer.concat([stage.client.finished(), message(0, Buffer.alloc(0))]);
    expectRefusal(stage, stage.wrap(22, both), 'handshake_bytes_before_key_change', 10);
  });
  test("with the server's label", () => {
    const stage = reach('ExpectFinished');
    expectRefusal(stage, stage.wrap(22, message(20, stage.client.verifyData('server'))), 'bad_finished', 51);
  });
});

describe('protected records', () => {
  test('of another version', () => {
    const stage = reach('ExpectFinished');
    const bytes = stage.client.seal(22, stage.client.finished(), { version: 0x0301 });
    expectRefusal(stage, bytes, 'wrong_record_version', 70);
  });
  test('whose type was changed on the way', () => {
    const stage = reach('ExpectFinished');
    const bytes = stage.wrap(22, stage.client.finished());
    bytes[0] = 21;
    expectRefusal(stage, bytes, 'record_did_not_decrypt', 20);
  });
  test('of another sequence number', () => {
    const stage = reach('ExpectFinished');
    const bytes = stage.client.seal(22, stage.client.finished(), { sequence: 1n });
    expectRefusal(stage, bytes, 'record_did_not_decrypt', 20);
  });
  test("the client's explicit nonce may be anything", () => {
    const stage = reach('ExpectFinished');
    const explicit = Buffer.from('f00dfeedf00dfeed', 'hex');
    stage.client.receive(stage.driver.feed(stage.client.seal(22, stage.client.finished(), { explicit })));
    expect(stage.client.serverFinished).toBe(true);
  });
});

describe('Length arithmetic', () => {
  test.each([0xc02b, 0xcca9])(
    'suite %i: records of 0 to 24 bytes do not verify, and nothing else',
    (suite) => {
      for (let length = 0; length <= 24; length++) {
        const stage = reach('ExpectFinished', { suites: [suite] });
        expectRefusal(stage, record(22, Buffer.alloc(length, 7)), 'record_did_not_decrypt', 20);
      }
    },
  );
  test.each([
    [16_384, undefined],
    [16_385, 'plaintext_too_long'],
    [16_384 + 2048 - 24, 'plaintext_too_long'],
    [16_384 + 2048 - 23, 'record_too_long'],
  ] as const)('a plaintext of %i bytes', (length, reason) => {
    const { client, driver } = reach('ExpectFinished');
    // Of one message that is longer, so that its start is taken as far as it goes.
    const content = Buffer.concat([Buffer.of(20, 0, 0xff, 0), Buffer.alloc(length - 4)]);
    client.receive(driver.feed(client.seal(22, content)));
    expect(driver.failed?.reason).toBe(reason);
    if (reason !== undefined) expect(client.alerts).toEqual([22]);
  });
  test('a plaintext record of 2^14 + 1 bytes', () => {
    expectRefusal(reach('ExpectClientKeyExchange'), record(22, Buffer.alloc(16_385)), 'record_too_long', 22);
  });
});

describe('alerts', () => {
  const alert = (level: number, description: number) => Buffer.of(level, description);
  test.each(STATES)('%s: the fifth warning is one too many', (state) => {
    const stage = reach(state);
    for (let i = 0; i < 4; i++) stage.driver.feed(stage.wrap(21, alert(1, 100)));
    expect(stage.driver.failed).toBeUndefined();
    expectRefusal(stage, stage.wrap(21, alert(1, 100)), 'too_many_warning_alerts', 10);
  });
  test.each(STATES)('%s: a fatal alert is not answered, close_notify by its like', (state) => {
    const fatal = reach(state);
    expect(fatal.driver.feed(fatal.wrap(21, alert(2, 40)))).toHaveLength(0);
    expect(fatal.driver.failed).toMatchObject({ reason: 'peer_alert', received: 40 });
    const closed = reach(state);
    expectRefusal(closed, closed.wrap(21, alert(1, 0)), 'peer_closed', 0);
  });
  test('of a level that there is not', () => {
    const stage = reach('ExpectFinished');
    expectRefusal(stage, stage.wrap(21, alert(3, 0)), 'bad_alert_level', 47);
  });
});

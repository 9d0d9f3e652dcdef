/** Whole TLS 1.2 handshakes against a client made of node:crypto, and what the hand-over holds. */
import { describe, expect, test } from 'vitest';
import { credential, Driver, publicKey } from '../../support/handshake-driver.ts';
import { P256, P384, X25519 } from '../../support/node-crypto-provider.ts';
import { FACTS, type Hello12, TestClient12 } from '../../support/tls12-client.ts';
import { u16, vector8 } from '../../support/tls13-client.ts';
import { ALL_SUITES, CONFIG_12, complete12 } from './support.ts';

const RSA_SUITES = [0xc02f, 0xc030, 0xcca8];
const rsa = { ...credential, schemes: [0x0804] };

describe.each(Object.keys(FACTS).map(Number))('suite %i', (suite) => {
  test.each([
    [X25519, true],
    [P256, true],
    [P384, true],
    [X25519, false],
  ])('group %i, extended master secret %s', (group, ems) => {
    const changes = RSA_SUITES.includes(suite) ? { selectCredential: () => rsa } : {};
    const groups = [group, ...(group === P256 ? [] : [P256])];
    const { client, established } = complete12(
      { suites: [suite], groups, ems, serverName: 'a.example' },
      changes,
    );
    expect(client.verifySignature(publicKey)).toBe(true);
    expect(client.serverFinished).toBe(true);
    expect(client.extensions.has(23)).toBe(ems);
    expect(established.info).toMatchObject({ version: 0x0303, suite, group, serverName: 'a.example' });
    // The Finished was record 0 of each direction.
    for (const [ours, theirs] of [
      [established.tx, client.rx!],
      [established.rx, client.tx!],
    ] as const) {
      expect(ours).toMatchObject({ suite, recordSeq: 1n, epoch: 0 });
      expect([Buffer.from(ours.key), Buffer.from(ours.iv)]).toEqual([theirs.key, theirs.iv]);
      expect(theirs.seq).toBe(1n);
    }
    expect(established.update).toHaveLength(0);
  });
});

test('the messages of the flights, and the extensions that answer the hello', () => {
  const { client } = complete12(
    { serverName: 'a.example', alpn: ['h2', 'http/1.1'] },
    { alpn: ['http/1.1'] },
  );
  expect(client.messages.map(({ type }) => type)).toEqual([2, 11, 12, 14, 20]);
  expect(client.records).toEqual([22, 20, 22]);
  expect([...client.extensions].map(([type, body]) => [type, body.toString('hex')])).toEqual([
    [0, ''],
    [0xff01, '00'],
    [23, ''],
    [11, '0100'],
    [16, '000908687474702f312e31'],
  ]);
});

test('extensions that the hello did not have are not answered', () => {
  const onlyNeeded: Hello12['edit'] = (list) => list.filter(([type]) => type === 10 || type === 13);
  const { client } = complete12({ edit: onlyNeeded });
  expect([...client.extensions]).toEqual([]);
  // A list of no extensions is left out (RFC 5246 7.4.1.4).
  const hello = client.messages[0]!.body;
  expect(hello).toHaveLength(2 + 32 + 1 + 2 + 1);
});

test('the renegotiation SCSV is answered by the extension (RFC 5746 3.6)', () => {
  const { client } = complete12({
    suites: [0x00ff, ...ALL_SUITES],
    edit: (list) => list.filter(([type]) => type !== 0xff01),
  });
  expect(client.extensions.get(0xff01)).toEqual(Buffer.of(0));
});

describe('version', () => {
  const versions = (...list: number[]): Hello12 => ({ edit: (all) => [...all, [43, vector8(u16(...list))]] });
  const sentinel = Buffer.from('444f574e47524401', 'hex');
  test.each<[string, Hello12]>([
    ['without supported_versions', {}],
    ['with a legacy_version of the future (RFC 8446 4.2.1)', { legacyVersion: 0x0304 }],
    ['with supported_versions', { legacyVersion: 0x0301, ...versions(0x0303, 0x0302) }],
  ])('%s is 1.2; the random says that 1.3 was possible', (_name, options) => {
    const { client, established } = complete12(options);
    expect(established.info.version).toBe(0x0303);
    expect(client.serverRandom.subarray(24)).toEqual(sentinel);
  });
  test('no sentinel from a server that speaks 1.2 alone', () => {
    const { client } = complete12({}, { versions: [0x0303] });
    expect(client.serverRandom.subarray(24)).not.toEqual(sentinel);
  });
  test.each<[string, Hello12, readonly number[]]>([
    ['1.1', { legacyVersion: 0x0302 }, [0x0304, 0x0303]],
    ['1.2 when only 1.3 is spoken', {}, [0x0304]],
    ['supported_versions without ours, whatever legacy_version says', versions(0x0302), [0x0304, 0x0303]],
  ])('%s is refused', (_name, options, ours) => {
    const driver = new Driver({ ...CONFIG_12, versions: ours });
    driver.feed(new TestClient12(options).helloRecord());
    expect(driver.failed).toMatchObject({ reason: 'no_common_version', alert: 70 });
  });
});

describe('what signs and what agrees', () => {
  test('the suite follows the credential', () => {
    const both = [0xc030, 0xc02b];
    expect(complete12({ suites: both }).established.info.suite).toBe(0xc02b);
    expect(complete12({ suites: both }, { selectCredential: () => rsa }).established.info.suite).toBe(0xc030);
  });
  test('a credential is asked for by the schemes that a common suite can use', () => {
    let asked: readonly number[] = [];
    complete12(
      { suites: [0xc030], schemes: [0x0403, 0x0804, 0x0401, 0x0201] },
      {
        selectCredential: ({ signatureSchemes }) => {
          asked = signatureSchemes;
          return rsa;
        },
      },
    );
    expect(asked).toEqual([0x0804, 0x0401]);
  });
  test('schemes12 goes before schemes', () => {
    const own = { ...credential, schemes: [0x0804], schemes12: [0x0401] };
    expect(complete12({}, { selectCredential: () => own }).established.info.scheme).toBe(0x0401);
  });
});

test('fed byte by byte, the answer is the same', () => {
  const { established } = complete12({}, {}, 1);
  expect(established.info).toMatchObject({ version: 0x0303, suite: 0xc02b });
});

test('what comes after the Finished is left over, byte for byte', () => {
  const client = new TestClient12();
  const driver = new Driver(CONFIG_12);
  client.receive(driver.feed(client.helloRecord()));
  const flight = client.secondFlight();
  const after = client.seal(23, Buffer.from('GET / HTTP/1.1\r\n\r\n'));
  client.receive(driver.feed(Buffer.concat([flight, after])));
  expect(client.serverFinished).toBe(true);
  expect(Buffer.from(driver.established!.leftover)).toEqual(after);
});

test('up to four warnings are passed over (RFC 5246 7.2.2)', () => {
  const client = new TestClient12();
  const driver = new Driver(CONFIG_12);
  const warning = Buffer.from('15030300020164', 'hex');
  driver.feed(Buffer.concat([warning, warning]));
  client.receive(driver.feed(client.helloRecord()));
  driver.feed(Buffer.concat([warning, warning]));
  client.receive(driver.feed(client.secondFlight()));
  expect(client.serverFinished).toBe(true);
});

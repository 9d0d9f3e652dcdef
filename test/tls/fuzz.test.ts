/**
 * Mutated client flights: whatever comes, no method throws, every call ends, at most one event is the last one, and
 * a handshake that fails says why in a known word. `SOCRYPT_TEST_SEED` replays a run.
 */
import { expect, test } from 'vitest';
import { type HandshakeEvent, PostHandshake, REASONS } from '../../src/tls/index.ts';
import { Driver } from '../support/handshake-driver.ts';
import { nodeCryptoProvider, P256, X25519 } from '../support/node-crypto-provider.ts';
import { Random, testSeed } from '../support/random.ts';
import { record, TestClient } from '../support/tls13-client.ts';

const seed = testSeed();
const ROUNDS = 1500;

function mutate(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let edits = 1 + random.below(3); edits > 0; edits--) {
    const at = random.below(copy.length);
    switch (random.below(5)) {
      case 0:
        copy[at]! ^= 1 << random.below(8);
        break;
      case 1:
        copy[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)]!;
        break;
      case 2:
        return Buffer.concat([copy.subarray(0, at), random.bytes(1 + random.below(9)), copy.subarray(at)]);
      case 3:
        return Buffer.concat([
          copy.subarray(0, at),
          copy.subarray(Math.min(copy.length, at + 1 + random.below(9))),
        ]);
      default:
        return Buffer.concat([copy.subarray(0, at), copy]);
    }
  }
  return copy;
}

function feedInPieces(random: Random, driver: Driver, bytes: Buffer): Buffer {
  const sent: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const piece = Buffer.from(bytes.subarray(at, at + 1 + random.below(200)));
    at += piece.length;
    sent.push(driver.feed(piece));
    piece.fill(0xee);
  }
  return Buffer.concat(sent);
}

function check(events: readonly HandshakeEvent[]): void {
  const last = events.filter(({ type }) => type === 'fail' || type === 'established');
  expect(last.length).toBeLessThanOrEqual(1);
  if (last.length === 1) expect(events.at(-1)).toBe(last[0]);
  for (const event of last) {
    if (event.type !== 'fail') continue;
    expect(REASONS).toContain(event.reason);
    // A peer's bytes are never our fault.
    expect(event.reason).not.toBe('internal_error');
  }
}

test(`mutated flights (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let round = 0; round < ROUNDS; round++) {
    const retry = random.below(3) === 0;
    const client = new TestClient({
      groups: retry ? [0x18, P256] : [X25519, P256],
      serverName: 'fuzz.example',
      alpn: ['http/1.1'],
      sessionId: random.bytes(32),
    });
    const driver = new Driver({ alpn: ['http/1.1'] });
    const flights = retry ? 3 : 2;
    const mutated = random.below(flights);
    for (let flight = 0; flight < flights && driver.failed === undefined; flight++) {
      const last = flight === flights - 1;
      let bytes: Buffer;
      if (!last) bytes = client.helloRecord();
      else if (client.tx === undefined) break;
      else if (flight === mutated && random.below(2) === 0) {
        bytes = client.seal(
          random.below(4) === 0 ? random.below(256) : 22,
          mutate(random, client.finished()),
        );
      } else bytes = client.seal(22, client.finished());
      if (flight === mutated) bytes = mutate(random, bytes);
      const sent = feedInPieces(random, driver, bytes);
      // A mutation may have changed what client and server agree on; then this client is of no more use.
      try {
        client.receive(sent);
      } catch {
        break;
      }
    }
    check(driver.events);
  }
});

test(`noise (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 500; round++) {
    const driver = new Driver();
    feedInPieces(random, driver, random.bytes(1 + random.below(300)));
    check(driver.events);
    const framed = new Driver();
    for (let i = 0; i < 8; i++) {
      framed.feed(record(20 + random.below(4), random.bytes(random.below(64)), 0x0301 + random.below(3)));
    }
    check(framed.events);
  }
});

test(`post-handshake content (seed ${seed})`, () => {
  const random = new Random(seed);
  const client = new TestClient();
  const driver = new Driver();
  client.receive(driver.feed(client.helloRecord()));
  driver.feed(client.seal(22, client.finished()));
  const provider = nodeCryptoProvider();
  for (let round = 0; round < 2000; round++) {
    const state = PostHandshake.open(driver.established!.update, provider);
    const keyUpdate = Buffer.from('1800000101', 'hex');
    for (let i = 0; i < 4; i++) {
      const events = state.receive(
        random.below(2) === 0 ? mutate(random, keyUpdate) : random.bytes(random.below(8)),
      );
      const failed = events.find((event) => event.type === 'fail');
      if (failed !== undefined) {
        expect(failed.reason).not.toBe('internal_error');
        break;
      }
      expect(state.blob().length).toBeLessThanOrEqual(128);
    }
  }
});

/** HelloRetryRequest with a cookie: what a server need not remember, and what it does not take. */
import { describe, expect, test } from 'vitest';
import { Driver } from '../support/handshake-driver.ts';
import { P256, X25519 } from '../support/node-crypto-provider.ts';
import { newKey, sessionTickets } from '../support/session-tickets.ts';
import { type HelloOptions, TestClient } from '../support/tls13-client.ts';

const RETRY: HelloOptions = { groups: [0x18, P256], sessionId: Buffer.alloc(32, 5) };

function retried(cookies = sessionTickets()) {
  const client = new TestClient(RETRY);
  const first = new Driver({ cookies });
  client.receive(first.feed(client.helloRecord()));
  expect(client.retryCookie).toBeDefined();
  return { client, first, cookies };
}

test.each([0x1301, 0x1302])(
  'suite %i: a handshake that never saw the first hello goes on after it',
  (suite) => {
    const cookies = sessionTickets();
    const client = new TestClient({ ...RETRY, suites: [suite] });
    client.receive(new Driver({ cookies }).feed(client.helloRecord()));
    const fresh = new Driver({ cookies });
    client.receive(fresh.feed(client.helloRecord()));
    client.receive(fresh.feed(client.seal(22, client.finished())));
    expect(fresh.established?.info).toMatchObject({ helloRetry: true, group: P256, suite });
  },
);

test('the cookie goes out in every HelloRetryRequest, and says nothing in the clear', () => {
  const { client } = retried();
  const { client: other } = retried();
  expect(client.retryCookie!.length).toBe(other.retryCookie!.length);
  expect(client.retryCookie).not.toEqual(other.retryCookie);
  expect(client.retryCookie!.length).toBeGreaterThan(56 + 32);
});

test('without keys given, a cookie is good for its own connection and no other', () => {
  const client = new TestClient(RETRY);
  const driver = new Driver();
  client.receive(driver.feed(client.helloRecord()));
  const second = client.helloRecord();
  const other = new Driver();
  other.feed(second);
  expect(other.failed).toMatchObject({ reason: 'bad_cookie', alert: 47 });
  client.receive(driver.feed(second));
  client.receive(driver.feed(client.seal(22, client.finished())));
  expect(driver.established?.info.helloRetry).toBe(true);
});

describe('refused is a second hello', () => {
  test('without the cookie', () => {
    const { client, first } = retried();
    first.feed(client.helloRecord({ edit: (list) => list.filter(([type]) => type !== 44) }));
    expect(first.failed).toMatchObject({ reason: 'missing_cookie', alert: 109 });
  });

  test('with a cookie of other keys, changed, or old', () => {
    for (const stateless of [false, true]) {
      const { client, first, cookies } = retried();
      const changed = Buffer.from(client.retryCookie!);
      changed[50]! ^= 1;
      const driver = stateless ? new Driver({ cookies }) : first;
      client.retryCookie = changed;
      driver.feed(client.helloRecord());
      expect(driver.failed).toMatchObject({ reason: 'bad_cookie', alert: 47 });
    }
    for (const change of [60_001, -61_001]) {
      const { client, cookies } = retried();
      cookies.clock += change;
      const driver = new Driver({ cookies });
      driver.feed(client.helloRecord());
      expect(driver.failed).toMatchObject({ reason: 'bad_cookie' });
    }
    const { client } = retried();
    const driver = new Driver({ cookies: sessionTickets() });
    driver.feed(client.helloRecord());
    expect(driver.failed).toMatchObject({ reason: 'bad_cookie' });
  });

  test("with another client's cookie", () => {
    const { cookies, client: one } = retried();
    const { client: two } = retried(cookies);
    two.retryCookie = one.retryCookie;
    const driver = new Driver({ cookies });
    driver.feed(two.helloRecord());
    expect(driver.failed).toMatchObject({ reason: 'second_hello_differs', alert: 47 });
  });

  test('with a ticket in the place of the cookie', () => {
    const cookies = sessionTickets(newKey());
    const client = new TestClient({ pskModes: [1] });
    const driver = new Driver({ tickets: cookies });
    client.receive(driver.feed(client.helloRecord()));
    client.receive(driver.feed(client.seal(22, client.finished())));
    const { client: other } = retried(cookies);
    other.retryCookie = Buffer.from(client.sessions[0]!.ticket);
    const second = new Driver({ cookies });
    second.feed(other.helloRecord());
    expect(second.failed).toMatchObject({ reason: 'bad_cookie' });
  });

  test('for a group that was not asked for', () => {
    const { client, cookies } = retried();
    const driver = new Driver({ cookies });
    driver.feed(client.helloRecord({ shares: [X25519], groups: RETRY.groups! }));
    expect(driver.failed).toMatchObject({ reason: 'second_hello_without_requested_share' });
  });
});

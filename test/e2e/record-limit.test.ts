/** The limit on records (RFC 8449) that a handshake hands to an engine: what it takes, and what it refuses. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { CryptSockets, HandshakeHandler } from '../../src/plane/engine-link.ts';
import { handshakesOf, planeWith } from './plane.ts';
import { type Credentials, issue, parseResponses, Site, tls } from './support.ts';

const site = new Site();
let credentials: Credentials;
let content: Buffer;
const ends: (() => Promise<unknown>)[] = [];
beforeAll(() => {
  credentials = issue(site.directory);
  content = site.random('file.bin', 40_000);
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(() => site.remove());

/** Handshakes as they are, but for what they say of the limit. */
function limiting(maxFragment: number): HandshakeHandler {
  const handshakes = handshakesOf(credentials);
  const changed = new WeakMap<CryptSockets, CryptSockets>();
  const through = (sockets: CryptSockets): CryptSockets => {
    const known = changed.get(sockets);
    if (known !== undefined) return known;
    const made = new Proxy(sockets, {
      get(target, name: keyof CryptSockets) {
        if (name !== 'establish') return target[name].bind(target);
        return (...args: Parameters<CryptSockets['establish']>) => {
          args[6] = maxFragment;
          target.establish(...args);
        };
      },
    });
    changed.set(sockets, made);
    return made;
  };
  return {
    data: (sockets, ...rest) => handshakes.data(through(sockets), ...rest),
    closed: (sockets, ...rest) => handshakes.closed(through(sockets), ...rest),
    postHandshake: (sockets, ...rest) => handshakes.postHandshake(through(sockets), ...rest),
    rekeyDue: (sockets, ...rest) => handshakes.rekeyDue(through(sockets), ...rest),
  };
}

const REQUEST = 'GET /file.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
async function answer(maxFragment: number): Promise<Buffer> {
  const { port, close } = await planeWith(site, limiting(maxFragment));
  ends.push(close);
  return tls(port, credentials).then(
    async (wire) => (await wire.write(REQUEST).end).bytes,
    () => Buffer.alloc(0),
  );
}

test.each([[63], [64], [1000], [16_384]])('%i bytes: every byte of the answer is right', async (limit) => {
  const [response] = parseResponses(await answer(limit), ['GET']);
  expect(response!.body.equals(content)).toBe(true);
});

// TLS 1.3 counts the type, so that 63 is the least (RFC 8449 4: 64); RFC 8446 5.1: 2^14 is the most.
test.each([[0], [62], [16_385], [2 ** 32 - 1]])(
  '%i bytes: the connection ends, and nothing is sent',
  async (limit) => {
    expect(await answer(limit)).toHaveLength(0);
  },
);

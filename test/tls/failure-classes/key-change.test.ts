/**
 * RUSTSEC-2026-0285 and CVE-2025-61730: handshake bytes that came under one key were taken as if they had come under the
 * next. RFC 8446 5.1: "Handshake messages MUST NOT span key changes."
 */
import { describe, expect, test } from 'vitest';
import { CraftedPair, messageTypes, other, type Role, type Version } from '../../support/crafted-pair.ts';

const CLIENT_HELLO = 1;
const SERVER_HELLO = 2;
const NEW_SESSION_TICKET = 4;
const CLIENT_KEY_EXCHANGE = 16;
const FINISHED = 20;
const KEY_UPDATE = 24;

/** Every message after which its receiver installs keys to read with. */
const INSTALLS: readonly [string, Version, Role, number][] = [
  ['the ClientHello', 0x0304, 'client', CLIENT_HELLO],
  ['the ServerHello', 0x0304, 'server', SERVER_HELLO],
  ["the server's Finished", 0x0304, 'server', FINISHED],
  ["the client's Finished", 0x0304, 'client', FINISHED],
  ["the server's KeyUpdate", 0x0304, 'server', KEY_UPDATE],
  ["the client's KeyUpdate", 0x0304, 'client', KEY_UPDATE],
  ['the ClientKeyExchange, a ChangeCipherSpec behind it', 0x0303, 'client', CLIENT_KEY_EXCHANGE],
  ['the NewSessionTicket, a ChangeCipherSpec behind it', 0x0303, 'server', NEW_SESSION_TICKET],
  ["the client's Finished of TLS 1.2", 0x0303, 'client', FINISHED],
  ["the server's Finished of TLS 1.2", 0x0303, 'server', FINISHED],
];

const EXTRAS: readonly [string, number[]][] = [
  ['one byte', [KEY_UPDATE]],
  ['a header', [KEY_UPDATE, 0, 0, 1]],
  ['a part of a message', [FINISHED, 0, 0, 32, 1, 2, 3]],
  ['a whole message', [KEY_UPDATE, 0, 0, 1, 0]],
  ['a whole Finished', [FINISHED, 0, 0, 12, ...Array.from({ length: 12 }, () => 7)]],
  ['an empty message', [14, 0, 0, 0]],
];

describe.each(INSTALLS)('Handshake bytes across a key change: behind %s', (_name, version, from, type) => {
  describe.each(EXTRAS)('%s', (_extra, bytes) => {
    test.each(['in its record', 'in the next record'])('%s', (where) => {
      let edited = 0;
      const pair = new CraftedPair({
        version,
        edit: (role, recordType, content) => {
          if (role !== from || recordType !== 22 || messageTypes(content).at(-1) !== type) return undefined;
          edited++;
          const extra = Uint8Array.from(bytes);
          return where === 'in its record'
            ? [[22, Buffer.concat([content, extra])]]
            : [
                [22, content],
                [22, extra],
              ];
        },
      }).run();
      const to = other(from);
      if (type === KEY_UPDATE) {
        pair.act(from, (connection) => connection.updateKeys(false));
        pair.run();
      }
      expect(edited).toBe(1);
      const failed = pair.failure(to);
      // In a record of its own it comes under the old key, which does not open any more, or as plaintext.
      expect([10, 20, 100]).toContain(failed?.alert);
      if (where === 'in its record' && version === 0x0304) {
        expect(failed?.reason).toBe('handshake_bytes_before_key_change');
      }
      // What was said under the old key is not answered under the new one.
      const last = pair.events[to].at(-1);
      expect(last?.type).toBe('fail');
      const isAfterwards =
        type === KEY_UPDATE || (from === 'client' && version === 0x0303 && type === FINISHED);
      if (!isAfterwards && where === 'in its record') expect(pair.isEstablished(to)).toBe(false);
    });
  });
});

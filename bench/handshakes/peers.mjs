// @ts-check
/** The servers of bench:handshakes. Those that bench:https measures too are started the same way. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bun, find, nginx, socrypt, version } from '../https/peers.mjs';

/** @typedef {import('../https/peers.mjs').Peer} Peer */
/** @typedef {import('../https/peers.mjs').Missing} Missing */
/** @typedef {import('../https/peers.mjs').Site} Site */

/** Every server's answer. */
export const BODY = Buffer.alloc(64, 'socrypt ');
const RESPONSE = Buffer.concat([
  Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${BODY.length}\r\nConnection: close\r\n\r\n`),
  BODY,
]);
export const FILE = 'small.bin';

const here = new URL('.', import.meta.url).pathname;

/** node:tls, with nothing above it. @returns {Peer} */
function node() {
  return {
    name: 'node',
    version: `node/${process.versions.node} (OpenSSL ${process.versions.openssl})`,
    command: (/** @type {Site} */ site) => {
      const response = join(site.directory, 'response');
      writeFileSync(response, RESPONSE);
      const resume = site.tls?.resume ? 'resume' : 'full';
      return [
        process.execPath,
        join(here, 'peers/node.mjs'),
        response,
        `${site.port}`,
        site.cert,
        site.key,
        resume,
      ];
    },
  };
}

/** One connection at a time, as it is; -HTTP sends a file that is a whole response. @returns {Peer | Missing} */
function sServer() {
  const name = 's_server';
  const program = find('openssl');
  if (program === null) return { name, missing: 's_server: openssl not found; apt-get install openssl' };
  return {
    name,
    version: version(program, 'version'),
    command: (/** @type {Site} */ site) => {
      writeFileSync(join(site.directory, FILE), RESPONSE);
      const flags = [
        '-accept',
        `127.0.0.1:${site.port}`,
        '-cert',
        site.cert,
        '-key',
        site.key,
        '-HTTP',
        '-quiet',
      ];
      return [program, 's_server', ...flags, ...(site.tls?.resume ? [] : ['-no_ticket'])];
    },
  };
}

/** @param {import('./options.mjs').Options} options @returns {{ peers: Peer[], missing: Missing[] }} */
export function findPeers(options) {
  const all = [nginx(false), bun(), node(), sServer(), socrypt(options.socrypt, options.socryptArgs)];
  const wanted = all.filter((peer) => options.peers.includes(peer.name));
  /** @type {Peer[]} */
  const peers = [];
  /** @type {Missing[]} */
  const missing = [];
  for (const peer of wanted) 'missing' in peer ? missing.push(peer) : peers.push(peer);
  return { peers, missing };
}

// @ts-check
/** The servers of bench:nic:host. All of them send through the same two ports; `seals` says who encrypts. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { find, nginxTemporaryPaths, repository, version } from '../../https/peers.mjs';
import { HOST_ADDRESS } from './network.mjs';

/** @typedef {{ root: string, file: string, cert: string, key: string, directory: string, resync: string }} Site */
/**
 * @typedef {object} Peer
 * @property {string} name
 * @property {string} title
 * @property {'http' | 'https'} scheme
 * @property {boolean} lent  the ports are those of `socrypt nic up`; otherwise the server's own
 * @property {() => string | null} missing
 * @property {boolean} [zeroCopy]  its files have to go without being copied; only order-free does without the payload
 * @property {string | null} path  the offload path that its records have to have taken; null: it counts none
 * @property {(site: Site) => string[]} command  writes its configuration; says what to run
 */

export const PORT = 8443;
export const METRICS_PORT = 9090;
export const BASE = 'sendfile';
export const HOST_PORT = 'socrypt0';
const main = join(repository, 'dist/cli/main.js');

/** Those that say something about `peer`. @param {Peer} peer @param {string[]} all */
export function resyncsOf(peer, all) {
  // How what comes again is sealed is a matter of the peers that the device seals for.
  if (peer.path !== 'nic') return all.slice(0, 1);
  return peer.zeroCopy ? all.filter((one) => one === 'order-free') : all;
}

/** @param {string} program @param {string} debian */
const needs = (program, debian) => () =>
  find(program) === null ? `${program} was not found (apt-get install ${debian})` : null;

/** @param {boolean} tls @param {Site} site */
function nginx(tls, site) {
  const program = /** @type {string} */ (find('nginx'));
  const path = join(site.directory, 'nginx.conf');
  writeFileSync(
    path,
    `user root root;
daemon off;
worker_processes 1;
pid ${site.directory}/nginx.pid;
error_log ${site.directory}/error.log error;
events { worker_connections 512; }
http {
${nginxTemporaryPaths(program, site.directory)}
  access_log off;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=100 inactive=600s;
  keepalive_timeout 600s;
  keepalive_requests 1000000;
  server {
    listen ${HOST_ADDRESS}:${PORT}${tls ? ' ssl' : ''};
    root ${site.root};
${
  tls
    ? `    ssl_certificate ${site.cert};
    ssl_certificate_key ${site.key};
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;`
    : ''
}
  }
}
`,
  );
  return [program, '-c', path, '-e', join(site.directory, 'error.log')];
}

/** @param {Site} site @param {string[]} more */
function socrypt(site, ...more) {
  return [
    ...[process.execPath, main, 'serve', site.root, '--host', HOST_ADDRESS, '--port', String(PORT)],
    ...['--cert', site.cert, '--key', site.key, '--workers', '1', '--log-level', 'warn'],
    ...['--suite', 'TLS_AES_128_GCM_SHA256', '--metrics-port', String(METRICS_PORT), ...more],
  ];
}
/** @param {Site} site @param {string} zeroCopy */
const own = (site, zeroCopy) =>
  socrypt(site, ...['--offload', 'nic', '--zero-copy', zeroCopy, '--resync', site.resync, ...ports]);
const ports = ['--wire', 'w0', '--host-port', HOST_PORT, '--address', `${HOST_ADDRESS}/24`];

/** Holds the ports while a server is measured that has none. */
export const lender = [
  ...[process.execPath, main, 'nic', 'up', '--wire', 'w0', '--host', HOST_PORT],
  ...['--address', `${HOST_ADDRESS}/24`],
];

const here = () => null;
/** @type {Peer[]} */
export const peers = [
  {
    name: BASE,
    title: 'nginx, HTTP, `sendfile`',
    scheme: 'http',
    lent: true,
    missing: needs('nginx', 'nginx-light'),
    path: null,
    command: (site) => nginx(false, site),
  },
  {
    name: 'nginx',
    title: 'nginx, HTTPS (OpenSSL)',
    scheme: 'https',
    lent: true,
    missing: needs('nginx', 'nginx-light'),
    path: null,
    command: (site) => nginx(true, site),
  },
  {
    name: 'gnutls',
    title: 'gnutls-serv, from memory',
    scheme: 'https',
    lent: true,
    missing: needs('gnutls-serv', 'gnutls-bin'),
    path: null,
    command: (site) => [
      ...['gnutls-serv', '--http', '--quiet', '--httpdata', join(site.root, site.file), '-p', String(PORT)],
      ...['--x509certfile', site.cert, '--x509keyfile', site.key, '--disable-client-cert'],
      ...['--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM'],
    ],
  },
  {
    name: 'software',
    title: 'socrypt `--offload software`',
    scheme: 'https',
    lent: true,
    missing: here,
    path: 'software',
    command: (site) => socrypt(site, '--offload', 'software'),
  },
  {
    name: 'copy',
    title: 'socrypt `--offload nic --zero-copy copy`',
    scheme: 'https',
    lent: false,
    missing: here,
    path: 'nic',
    command: (site) => own(site, 'copy'),
  },
  {
    name: 'guard',
    title: 'socrypt `--offload nic --zero-copy guard`',
    scheme: 'https',
    lent: false,
    missing: here,
    path: 'nic',
    zeroCopy: true,
    command: (site) => own(site, 'guard'),
  },
];

export const versions = () =>
  [
    find('nginx') && version('nginx', '-v').replace('nginx version: ', ''),
    find('gnutls-serv') && version('gnutls-serv', '--version'),
  ]
    .filter(Boolean)
    .join(', ');

// @ts-check
/** The servers that are measured: where they are, how they are set up, how they are had. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { upperLayerProtocols } from './namespace.mjs';

/** What a peer needs to be started. `directory` is its own, empty, and removed afterwards. */
/** `tls`: what is offered beyond TLS 1.3 without resumption. */
/** @typedef {import('./corpus.mjs').Corpus & { port: number, directory: string, connections: number, tls?: { tls12: boolean, resume: boolean } }} Site */
/**
 * @typedef {object} Peer
 * @property {string} name
 * @property {string} version
 * @property {(site: Site) => string[]} command  writes its configuration; says what to run
 */
/** @typedef {{ name: string, missing: string }} Missing */

const here = new URL('.', import.meta.url).pathname;
export const repository = join(here, '../..');
export const prefix = join(repository, 'build/bench-peers');
/** Exact versions, so that two runs compare. */
const NPM_PEERS = ['bun@1.4.5', 'finalhandler@2.1.1', 'serve-static@2.2.1'];
const DEBIAN_PEERS = ['nginx-light', 'h2o'];
const DEBIAN_TOOLS = ['g++', 'libssl-dev', 'openssl', 'util-linux'];
export const INSTALL = 'npm run bench:https -- --install';

/** @param {string} program */
export function find(program) {
  for (const directory of [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']) {
    if (existsSync(join(directory, program))) return join(directory, program);
  }
  return null;
}

/** First line of a program's version output, wherever it prints it. @param {string} program @param {string} flag */
export function version(program, flag) {
  const output = execFileSync('bash', ['-c', '"$0" "$1" 2>&1', program, flag], { encoding: 'utf8' });
  return output.split('\n')[0] ?? '';
}

export function install() {
  const missing = [...DEBIAN_PEERS, ...DEBIAN_TOOLS].filter((name) => {
    try {
      const status = execFileSync('dpkg-query', ['-s', name], {
        encoding: 'utf8',
        stdio: 'pipe',
      });
      return !status.includes('ok installed');
    } catch {
      return true;
    }
  });
  if (missing.length > 0 && process.getuid?.() === 0) {
    // A freshly installed nginx or h2o would start as a service on ports 80 and 443: policy-rc.d forbids it.
    const policy = '/usr/sbin/policy-rc.d';
    const ours = !existsSync(policy);
    const script = `set -e
      ${ours ? `printf '#!/bin/sh\\nexit 101\\n' > ${policy}; chmod +x ${policy}; trap 'rm -f ${policy}' EXIT` : ''}
      apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ${missing.join(' ')}`;
    execFileSync('bash', ['-c', script], { stdio: ['ignore', 'ignore', 'inherit'] });
  } else if (missing.length > 0) {
    console.error(`bench: not root; install as root: apt-get install ${missing.join(' ')}`);
  }
  mkdirSync(prefix, { recursive: true });
  if (!existsSync(join(prefix, 'package.json')))
    writeFileSync(join(prefix, 'package.json'), '{"private":true}\n');
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--save-exact', '--loglevel=error'];
  execFileSync('npm', ['install', ...flags, ...NPM_PEERS], {
    cwd: prefix,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** @param {boolean} kernel  with kernel TLS and sendfile @returns {Peer | Missing} */
export function nginx(kernel) {
  const name = kernel ? 'nginx-ktls' : 'nginx';
  const program = find('nginx');
  if (program === null)
    return { name, missing: `nginx: not found; ${INSTALL}, or apt-get install nginx-light` };
  if (kernel && !upperLayerProtocols().includes('tls')) {
    return { name, missing: 'nginx-ktls: this kernel offers no TLS (tcp_available_ulp); try: modprobe tls' };
  }
  return {
    name,
    version: version(program, '-v').replace('nginx version: ', ''),
    command: (/** @type {Site} */ site) => {
      const path = join(site.directory, 'nginx.conf');
      writeFileSync(path, nginxConfiguration(site, kernel, nginxTemporaryPaths(program, site.directory)));
      return [program, '-c', path, '-e', join(site.directory, 'error.log')];
    },
  };
}

/** Lines for its temporary files, of every kind that it was built to make. @param {string} program @param {string} directory */
export function nginxTemporaryPaths(program, directory) {
  const built = execFileSync('bash', ['-c', '"$0" -V 2>&1', program], { encoding: 'utf8' });
  const modules = ['proxy', 'fastcgi', 'uwsgi', 'scgi'].filter(
    (kind) => !built.includes(`--without-http_${kind}_`),
  );
  return ['client_body', ...modules].map((kind) => `  ${kind}_temp_path ${directory}/${kind};`).join('\n');
}

/** @param {Site} site @param {boolean} kernel @param {string} temporary  lines for its temporary files */
function nginxConfiguration(site, kernel, temporary) {
  return `${process.getuid?.() === 0 ? 'user root root;' : ''}
daemon off;
worker_processes 1;
worker_rlimit_nofile ${site.connections * 2 + 1024};
pid ${site.directory}/nginx.pid;
error_log ${site.directory}/error.log error;
# Room to spare: nginx closes idle connections once fewer than a sixteenth are free.
events { worker_connections ${Math.ceil(site.connections * 1.25) + 512}; }
http {
${temporary}
  access_log off;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=1000 inactive=600s;
  open_file_cache_valid 60s;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  default_type application/octet-stream;
  server {
    listen 127.0.0.1:${site.port} ssl backlog=4096;
    server_name localhost;
    root ${site.root};
    ssl_certificate ${site.cert};
    ssl_certificate_key ${site.key};
    ssl_protocols ${site.tls?.tls12 ? 'TLSv1.2 ' : ''}TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256;
    ssl_session_cache ${site.tls?.resume ? 'none' : 'off'};
    ssl_session_tickets ${site.tls?.resume ? 'on' : 'off'};
    ${kernel ? 'ssl_conf_command Options KTLS;' : ''}
  }
}
`;
}

/** @returns {Peer | Missing} */
function h2o() {
  const name = 'h2o';
  const program = find('h2o');
  if (program === null) return { name, missing: `h2o: not found; ${INSTALL}, or apt-get install h2o` };
  return {
    name,
    version: version(program, '-v').replace(' version ', '/'),
    command: (/** @type {Site} */ site) => {
      const path = join(site.directory, 'h2o.conf');
      writeFileSync(
        path,
        `${process.getuid?.() === 0 ? 'user: root' : ''}
num-threads: 1
max-connections: ${site.connections + 512}
http1-request-timeout: 600
ssl-session-resumption:
  mode: off
error-log: ${site.directory}/error.log
listen:
  host: 127.0.0.1
  port: ${site.port}
  ssl:
    certificate-file: ${site.cert}
    key-file: ${site.key}
    minimum-version: TLSv1.3
    neverbleed: OFF
hosts:
  localhost:
    paths:
      /:
        file.dir: ${site.root}
`,
      );
      return [program, '-m', 'worker', '-c', path];
    },
  };
}

/** @returns {Peer | Missing} */
export function bun() {
  const name = 'bun';
  // Without its install script the npm package keeps the program in the platform package.
  const candidates = ['bun-linux-x64', 'bun-linux-aarch64', 'bun-linux-x64-baseline'].map((platform) =>
    join(prefix, 'node_modules/@oven', platform, 'bin/bun'),
  );
  const program = [...candidates, join(prefix, 'node_modules/bun/bin/bun.exe')].find((path) =>
    existsSync(path),
  );
  if (program === undefined) return { name, missing: `bun: not found in build/bench-peers; ${INSTALL}` };
  return {
    name,
    version: `bun/${version(program, '--version')}`,
    command: (/** @type {Site} */ site) => [
      program,
      join(here, 'peers/bun.js'),
      site.root,
      String(site.port),
      site.cert,
      site.key,
    ],
  };
}

/** @returns {Peer | Missing} */
function node() {
  const name = 'node';
  const packages = join(prefix, 'node_modules');
  if (!existsSync(join(packages, 'serve-static')) || !existsSync(join(packages, 'finalhandler'))) {
    return { name, missing: `node: serve-static not found in build/bench-peers; ${INSTALL}` };
  }
  const { version: serveStatic } = JSON.parse(
    readFileSync(join(packages, 'serve-static/package.json'), 'utf8'),
  );
  return {
    name,
    version: `node/${process.versions.node} serve-static/${serveStatic}`,
    command: (/** @type {Site} */ site) => [
      process.execPath,
      join(here, 'peers/node.mjs'),
      prefix,
      site.root,
      String(site.port),
      site.cert,
      site.key,
    ],
  };
}

/**
 * `driver`: of the crypto framework, for `--offload accelerator:…`; null: records as they come, by software.
 *
 * @param {string} main
 * @param {string[]} more
 * @param {string | null} driver
 * @returns {Peer | Missing}
 */
export function socrypt(main, more, driver = null) {
  const name = driver === null ? 'socrypt' : `socrypt-${driver}`;
  const path = main.startsWith('/') ? main : join(repository, main);
  if (!existsSync(path)) return { name, missing: `socrypt: ${path} not found; npm run setup` };
  const { version: own } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
  return {
    name,
    version: `socrypt/${own}`,
    command: (/** @type {Site} */ site) => [
      path,
      'serve',
      site.root,
      ...['--host', '127.0.0.1', '--port', String(site.port), '--cert', site.cert, '--key', site.key],
      ...['--workers', '1', '--log-level', 'warn', '--backlog', '4096'],
      ...['--max-connections', String(Math.ceil(site.connections * 1.25) + 512)],
      // As long as the others: neither time nor number ends a connection.
      ...['--keep-alive-timeout', '10m', '--max-requests-per-connection', '1000000000'],
      ...(driver === null ? [] : ['--offload', `accelerator:${driver}`]),
      ...more,
    ],
  };
}

/** Drivers that are peers of their own, when they are asked for. */
const ACCELERATORS = ['soft', 'thread', 'dpdk'];

/**
 * @param {import('./options.mjs').Options} options
 * @returns {{ peers: Peer[], missing: Missing[] }}
 */
export function findPeers(options) {
  const all = [
    nginx(false),
    nginx(true),
    h2o(),
    bun(),
    node(),
    socrypt(options.socrypt, options.socryptArgs),
    ...ACCELERATORS.map((driver) => socrypt(options.socrypt, options.socryptArgs, driver)),
  ];
  const wanted =
    options.peers === null
      ? all.slice(0, all.length - ACCELERATORS.length)
      : all.filter((peer) => options.peers?.includes(peer.name));
  /** @type {Peer[]} */
  const peers = [];
  /** @type {Missing[]} */
  const missing = [];
  for (const peer of wanted) 'missing' in peer ? missing.push(peer) : peers.push(peer);
  // Kernel TLS is a variant: it is worth a line only to those who ask for it.
  return { peers, missing: missing.filter((peer) => options.peers !== null || peer.name !== 'nginx-ktls') };
}

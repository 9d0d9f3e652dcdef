// Node's own https with serve-static, as their documentation shows it.
// usage: node.mjs PREFIX ROOT PORT CERT KEY
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createRequire } from 'node:module';

const [, , prefix, root, port, cert, key] = process.argv;
const require = createRequire(`${prefix}/`);
const finalhandler = require('finalhandler');
const serve = require('serve-static')(root, { index: false });

const server = createServer(
  {
    cert: readFileSync(cert),
    key: readFileSync(key),
    minVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
  },
  (request, response) => serve(request, response, finalhandler(request, response)),
);
server.keepAliveTimeout = 600_000;
server.requestTimeout = 0;
server.listen(Number(port), '127.0.0.1');

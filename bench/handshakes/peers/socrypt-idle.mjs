// socrypt in a process that says what it holds: a line on stdin, a line of JSON on stdout.
// usage: node --expose-gc socrypt-idle.mjs DIST ROOT CERT KEY CONNECTIONS
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [, , dist, root, cert, key, connections] = process.argv;
const { serve } = await import(`${dist}/index.js`);
const server = await serve({
  root,
  cert,
  key,
  port: 0,
  workers: 1,
  logLevel: 'warn',
  maxConnections: Number(connections) * 2 + 512,
  keepAliveTimeout: '10m',
});
console.log(JSON.stringify({ port: server.address.port }));

for await (const _ of createInterface({ input: process.stdin })) {
  // Twice: what only a finaliser kept alive goes with the second.
  globalThis.gc();
  await new Promise((resolve) => setTimeout(resolve, 50));
  globalThis.gc();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  const anonymous = /^RssAnon:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1];
  console.log(
    JSON.stringify({
      heapUsed,
      // `external` includes array buffers.
      external,
      arrayBuffers,
      anonymous: Number(anonymous) * 1024,
      connections: server.stats().connections,
      handshakes: server.stats().handshakes,
    }),
  );
}
await server.close(0);

// Bun.serve with one route per file, the form in which Bun serves files without calling JavaScript.
// usage: bun.js ROOT PORT CERT KEY
import { readdirSync } from 'node:fs';

const [, , root, port, cert, key] = process.argv;
const routes = {};
for (const name of readdirSync(root)) routes[`/${name}`] = new Response(Bun.file(`${root}/${name}`));

Bun.serve({
  hostname: '127.0.0.1',
  port: Number(port),
  tls: { cert: Bun.file(cert), key: Bun.file(key) },
  idleTimeout: 0,
  routes,
  fetch: () => new Response('not found', { status: 404 }),
});

// socrypt in a process that says what it holds and how late its event loop is: a line on stdin, a line of JSON on stdout.
// usage: node --expose-gc socrypt-observed.mjs DIST OPTIONS (JSON, of serve())
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';

const [, , dist, options] = process.argv;
const { serve } = await import(`${dist}/index.js`);
const server = await serve({ port: 0, logLevel: 'warn', keepAliveTimeout: '10m', ...JSON.parse(options) });
// It counts from one sample to the next, so an idle loop has the interval as its delay.
const INTERVAL = 1;
const delay = monitorEventLoopDelay({ resolution: INTERVAL });
delay.enable();
console.log(JSON.stringify({ port: server.address.port }));

for await (const _ of createInterface({ input: process.stdin })) {
  const milliseconds = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - INTERVAL);
  const delays = {
    p50: milliseconds(delay.percentile(50)),
    p99: milliseconds(delay.percentile(99)),
    max: milliseconds(delay.max),
  };
  // Twice: what only a finaliser kept alive goes with the second.
  globalThis.gc();
  await new Promise((resolve) => setTimeout(resolve, 50));
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  const anonymous = /^RssAnon:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1];
  const { connections, handshakes } = server.stats();
  delay.reset();
  console.log(
    JSON.stringify({
      heapUsed,
      external,
      anonymous: Number(anonymous) * 1024,
      connections,
      handshakes,
      delays,
    }),
  );
}
await server.close(0);

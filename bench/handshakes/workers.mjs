#!/usr/bin/env node
// @ts-check
/**
 * Handshakes on the main thread and in control workers: what they cost, how many there are, and how late the main
 * thread's event loop is meanwhile. Server and load share the cores that `--cpus` names.
 *
 *     npm run bench:handshakes:workers -- [--seconds 3] [--rounds 3] [--engines 1] [--cpus 0,1]
 */
import { parseArgs } from 'node:util';
import { buildLoad, measure } from '../https/load.mjs';
import { items, number, UsageError } from '../https/options.mjs';
import { markdown, median } from '../https/report.mjs';
import { request, startObserved } from './observed.mjs';

const round = (/** @type {number} */ value) => Math.round(value).toLocaleString('en-US');

try {
  const names = ['seconds', 'rounds', 'engines', 'cpus', 'connections', 'workers'];
  const flags = Object.fromEntries(names.map((name) => [name, { type: /** @type {const} */ ('string') }]));
  const { values } = parseArgs({ options: flags });
  const seconds = number('seconds', values.seconds, 3, 0.2);
  const rounds = number('rounds', values.rounds, 3, 1);
  const engines = number('engines', values.engines, 1, 1);
  const connections = number('connections', values.connections, 32, 1);
  const cpus = items(values.cpus ?? '0,1').map(Number);
  const counts = items(values.workers ?? (engines > 1 ? `0,1,${engines}` : '0,1')).map(Number);
  const loadCpu = cpus[cpus.length - 1] ?? 0;
  buildLoad();
  const rows = [['', 'handshakes per CPU-second', 'per second', 'event loop late: p50', 'p99', 'max']];
  for (const key of /** @type {const} */ (['P-256', 'RSA-2048'])) {
    /** @type {Map<number, { perCpu: number, perSecond: number, delays: import('./observed.mjs').Look['delays'] }[]>} */
    const samples = new Map(counts.map((count) => [count, []]));
    for (let i = 0; i < rounds; ++i) {
      for (const controlWorkers of counts) {
        const server = await startObserved({ workers: engines, controlWorkers }, key, cpus);
        const asked = { ...request, port: server.port, mode: 'connect', connections, 'cpu-of': server.pid };
        await measure({ ...asked, requests: 1500 }, loadCpu);
        await server.look();
        const result = await measure({ ...asked, seconds, warmup: 0 }, loadCpu);
        const { delays } = await server.look();
        await server.close();
        const errors = Object.values(result.errors).reduce((a, b) => a + b, 0);
        if (errors > 0) throw new Error(`wrong answers: ${JSON.stringify(result.errors)}`);
        samples.get(controlWorkers)?.push({
          perCpu: result.responses / result.serverCpuSeconds,
          perSecond: result.responses / result.seconds,
          delays,
        });
      }
    }
    for (const [count, taken] of samples) {
      const ms = (/** @type {'p50' | 'p99' | 'max'} */ which) =>
        `${median(taken.map(({ delays }) => delays[which])).toFixed(1)} ms`;
      rows.push([
        `${key}, ${count === 0 ? 'main thread' : `${count} control worker${count > 1 ? 's' : ''}`}`,
        round(median(taken.map(({ perCpu }) => perCpu))),
        round(median(taken.map(({ perSecond }) => perSecond))),
        ms('p50'),
        ms('p99'),
        ms('max'),
      ]);
    }
  }
  console.log(
    `TLS 1.3, full; ${engines} engine(s), ${connections} connections at once, cores ${cpus.join(',')}; ${rounds} rounds of ${seconds} s\n`,
  );
  console.log(markdown(rows));
} catch (error) {
  console.error(`bench: ${/** @type {Error} */ (error).message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

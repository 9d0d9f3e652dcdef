// @ts-check
/** From samples to the table of bench:handshakes. */
import {
  markdown,
  OTHERS_WORTH_A_WORD,
  perCpuSecond,
  percent,
  perSecond,
  SPREAD_WORTH_A_WORD,
  STEAL_WORTH_A_WORD,
  summarise,
  withRatio,
} from '../https/report.mjs';

/** @typedef {{ kind: 'connect', name: string, bytes: number, tls: string, key: 'P-256' | 'RSA-2048', resumed: boolean }} Cell */
/** @typedef {Omit<import('../https/report.mjs').Results, 'cells'> & { cells: Cell[], unable: { peer: string, cell: string, reason: string }[] }} Results */

const round = (/** @type {number} */ value) => Math.round(value).toLocaleString('en-US');

/** @param {Results} results @param {Cell} cell @param {string} peer */
const measured = (results, cell, peer) =>
  results.samples.some((sample) => sample.cell === cell.name && sample.peer === peer);

/** @param {Results} results */
export function table(results) {
  const names = results.peers.map((peer) => peer.name);
  const perCpu = [['handshakes per server CPU-second', ...names]];
  const wall = [['per second, as the client saw it (server core busy)', ...names]];
  for (const cell of results.cells) {
    const title = `TLS ${cell.name}`;
    const cells = names.map((peer) => {
      if (!measured(results, cell, peer)) return { cpu: '-', wall: '-' };
      const cpu = summarise(results, cell, peer, perCpuSecond);
      const seen = summarise(results, cell, peer, perSecond);
      return {
        cpu: `${round(cpu.value)}${withRatio(peer, cpu.ratio)}${cpu.errors > 0 ? ' !' : ''}`,
        wall: `${round(seen.value)} (${percent(seen.serverBusy)})`,
      };
    });
    perCpu.push([title, ...cells.map(({ cpu }) => cpu)]);
    wall.push([title, ...cells.map((one) => one.wall)]);
  }
  return [markdown(perCpu), '', markdown(wall), ...notes(results, names)].join('\n');
}

/** What a reader must know before believing the table. @param {Results} results @param {string[]} names */
function notes(results, names) {
  const lines = results.unable.map(
    ({ peer, cell, reason }) => `no figure for ${peer}, TLS ${cell}: ${reason}`,
  );
  for (const cell of results.cells) {
    for (const peer of names.filter((name) => measured(results, cell, name))) {
      const where = `${peer}, TLS ${cell.name}`;
      const own = results.samples.filter((sample) => sample.cell === cell.name && sample.peer === peer);
      const all = own.reduce((sum, sample) => sum + sample.handshakes, 0);
      const resumed = own.reduce((sum, sample) => sum + sample.handshakesResumed, 0);
      if (resumed !== (cell.resumed ? all : 0))
        lines.push(`! ${where}: ${resumed} of ${all} handshakes were resumed`);
      const summary = summarise(results, cell, peer, perCpuSecond);
      if (summary.errors > 0) lines.push(`! ${where}: ${summary.errors} wrong or missing answers`);
      if (summary.spread > SPREAD_WORTH_A_WORD)
        lines.push(`${where}: rounds differ by ${percent(summary.spread)}`);
      if (summary.steal > STEAL_WORTH_A_WORD)
        lines.push(`${where}: the hypervisor took up to ${percent(summary.steal)} of a core`);
      if (summary.others > OTHERS_WORTH_A_WORD)
        lines.push(
          `${where}: other programs took up to ${percent(summary.others)} of a core; run on a quiet machine`,
        );
    }
  }
  return lines.length > 0 ? ['', ...lines.map((line) => `- ${line}`)] : [];
}

/** For the JSON. @param {Results} results */
export function summaries(results) {
  return results.cells.flatMap((cell) =>
    results.peers
      .filter((peer) => measured(results, cell, peer.name))
      .map((peer) => {
        const cpu = summarise(results, cell, peer.name, perCpuSecond);
        return {
          cell: cell.name,
          peer: peer.name,
          perCpuSecond: cpu.value,
          ratioToNginx: cpu.ratio,
          spread: cpu.spread,
          perSecond: summarise(results, cell, peer.name, perSecond).value,
          serverBusy: cpu.serverBusy,
          latencyMicroseconds: { p50: cpu.p50, p99: cpu.p99 },
          errors: cpu.errors,
        };
      }),
  );
}

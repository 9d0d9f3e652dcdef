#!/usr/bin/env node
// @ts-check
/** Runs the papers' experiments again, prints their tables, and with --write makes docs/papers.md and its plots of them. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { repository } from '../https/peers.mjs';
import { experiments } from './experiments/index.mjs';
import { markdown, page } from './page.mjs';

const HELP = `usage: npm run bench:papers -- [options]
  --list         the experiments
  --only LIST    of them, by id (default: all that this machine can run)
  --quick        a tenth of the time: to see that they run, not to be quoted
  --write        docs/papers.md and docs/papers/*.svg anew, the experiments that did not run as they were
  --help`;

const folder = join(repository, 'docs/papers');
const kept = join(folder, 'results.json');

/** @param {ReturnType<typeof options>['values']} values */
async function run(values) {
  const wanted = values.only?.split(',');
  const unknown = wanted?.filter((id) => !experiments.some((experiment) => experiment.id === id)) ?? [];
  if (unknown.length > 0) throw new Error(`no experiment ${unknown.join(', ')}; --list names them`);
  /** @type {Record<string, import('./page.mjs').Kept>} */
  const results = existsSync(kept) ? JSON.parse(readFileSync(kept, 'utf8')) : {};
  const asked = {
    quick: values.quick === true,
    progress: (/** @type {string} */ text) => {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
    },
  };
  const machine = `${cpus().length} cores of ${cpus()[0]?.model ?? 'an unnamed processor'}, Linux ${release().split('-')[0]}, Node ${process.versions.node}`;
  for (const experiment of experiments) {
    if (wanted !== undefined && !wanted.includes(experiment.id)) continue;
    const reason = experiment.cannot?.(asked) ?? null;
    if (reason !== null) {
      console.log(`${experiment.id}: not run: ${reason}\n`);
      continue;
    }
    const outcome = await experiment.run(asked);
    asked.progress('');
    console.log(`── ${experiment.id}: ${experiment.title}\n`);
    for (const table of outcome.tables) console.log(`${markdown(table)}\n`);
    for (const finding of outcome.findings) console.log(`- ${finding}`);
    console.log();
    if (values.write !== true) continue;
    mkdirSync(folder, { recursive: true });
    for (const plot of outcome.plots) writeFileSync(join(folder, plot.file), plot.svg);
    results[experiment.id] = {
      date: new Date().toISOString().slice(0, 10),
      machine,
      outcome: { ...outcome, plots: outcome.plots.map((plot) => plot.file) },
    };
    // After each, so that what is done is kept whatever comes.
    writeFileSync(kept, `${JSON.stringify(results, null, 1)}\n`);
    writeFileSync(join(repository, 'docs/papers.md'), page(experiments, results));
  }
}

function options() {
  return parseArgs({
    options: {
      list: { type: 'boolean' },
      only: { type: 'string' },
      quick: { type: 'boolean' },
      write: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
}

try {
  const { values } = options();
  if (values.help) console.log(HELP);
  else if (values.list)
    for (const { id, paper, title } of experiments) console.log(`${id.padEnd(22)} ${paper.short}: ${title}`);
  else await run(values);
} catch (error) {
  console.error(`bench: ${/** @type {Error} */ (error).message}`);
  process.exitCode = 1;
}

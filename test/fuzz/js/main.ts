/**
 * Fuzzes one target for a time, in a worker that this thread watches: an input that runs on and on, or takes all
 * the memory, is a finding, too.
 *
 *     node main.js --list | --target NAME [--seconds N] [--found FOLDER] [--keep FOLDER]
 *
 *   --target   of targets.ts; or --module FILE with `export function run(input)`
 *   --seconds  default 20
 *   --limit    seconds for one input, default 10
 *   --memory   megabytes of heap, default 512
 *   --found    where the input of a finding goes, default build/fuzz
 *   --keep     writes the corpus, minimised, into FOLDER
 * SOCRYPT_TEST_SEED replays the choices of a run, though not its pace.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Random, testSeed } from '../../support/random.ts';
import { corpusOf } from './corpus.ts';
import { fuzz, minimised, type Target } from './fuzzer.ts';

interface Task {
  readonly target: string | undefined;
  readonly module: string | undefined;
  readonly seconds: number;
  readonly seed: number;
  readonly keep: string | undefined;
  /** Length of the input that is running, then its bytes; the first word counts inputs. */
  readonly shared: SharedArrayBuffer;
}

type Report =
  | { readonly type: 'end'; readonly runs: number; readonly corpus: number; readonly kept: number }
  | { readonly type: 'finding'; readonly input: Uint8Array; readonly error: string };

const SHARED_BYTES = 8 + 65_536;

if (process.argv.includes('--list')) console.log(Object.keys(await targets()).join('\n'));
else if (isMainThread) watch();
else await work(workerData as Task);

async function work(task: Task): Promise<void> {
  const { shared } = task;
  const words = new Uint32Array(shared, 0, 2);
  const bytes = new Uint8Array(shared, 8);
  const target = task.module === undefined ? (await targets())[task.target!]! : await load(task.module);
  const wants =
    task.module === undefined
      ? (url: string) => url.includes('/fuzz/js/src/')
      : (url: string) => url === pathToFileURL(task.module!).href;
  const until = performance.now() + 1000 * task.seconds;
  const seeds = corpusOf(task.target ?? '').map((path) => Uint8Array.from(readFileSync(path)));
  const { runs, corpus, finding } = fuzz(target, {
    random: new Random(task.seed),
    seeds,
    wants,
    goesOn: () => performance.now() < until,
    about: (input) => {
      bytes.set(input);
      words[1] = input.length;
      Atomics.add(words, 0, 1);
    },
  });
  // Not watched any more.
  Atomics.store(words, 0, 0);
  const report = (message: Report) => parentPort!.postMessage(message);
  if (finding !== undefined) {
    const { error, input } = finding;
    report({ type: 'finding', input, error: error instanceof Error ? String(error.stack) : String(error) });
    return;
  }
  let kept = 0;
  if (task.keep !== undefined) {
    mkdirSync(task.keep, { recursive: true });
    for (const input of minimised(target, corpus, wants)) {
      writeFileSync(join(task.keep, digest(input)), input);
      kept++;
    }
  }
  report({ type: 'end', runs, corpus: corpus.length, kept });
}

async function targets(): Promise<Readonly<Record<string, Target>>> {
  return (await import('./targets.ts')).TARGETS;
}

async function load(module: string): Promise<Target> {
  return (await import(pathToFileURL(module).href)) as Target;
}

function digest(input: Uint8Array): string {
  return createHash('sha256').update(input).digest('hex').slice(0, 16);
}

function watch(): void {
  const { values } = parseArgs({
    options: {
      target: { type: 'string' },
      module: { type: 'string' },
      seconds: { type: 'string', default: '20' },
      limit: { type: 'string', default: '10' },
      memory: { type: 'string', default: '512' },
      found: { type: 'string', default: 'build/fuzz' },
      keep: { type: 'string' },
    },
  });
  const seed = testSeed();
  const name = values.target ?? 'module';
  const task: Task = {
    target: values.target,
    module: values.module,
    seconds: Number(values.seconds),
    seed,
    keep: values.keep,
    shared: new SharedArrayBuffer(SHARED_BYTES),
  };
  const words = new Uint32Array(task.shared, 0, 2);
  const worker = new Worker(fileURLToPath(import.meta.url), {
    workerData: task,
    resourceLimits: { maxOldGenerationSizeMb: Number(values.memory) },
  });
  const found = (input: Uint8Array, error: string): void => {
    mkdirSync(values.found, { recursive: true });
    const path = join(values.found, `${name}-${digest(input)}`);
    writeFileSync(path, input);
    console.error(`${name}, SOCRYPT_TEST_SEED=${seed}: ${error}\nthe input is in ${path}`);
    process.exitCode = 1;
    clearInterval(timer);
    void worker.terminate();
  };
  const running = () => new Uint8Array(task.shared, 8).slice(0, words[1]);
  let count = -1;
  const timer = setInterval(() => {
    // 0: the targets are still loaded, or the corpus is minimised by now.
    if (count === Atomics.load(words, 0) && count > 0) found(running(), `no end after ${values.limit} s`);
    count = Atomics.load(words, 0);
  }, 1000 * Number(values.limit));
  worker.on('error', (error: NodeJS.ErrnoException) => {
    const why =
      error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? `more than ${values.memory} MB of memory` : error.stack;
    found(running(), String(why));
  });
  worker.on('message', (report: Report) => {
    clearInterval(timer);
    if (report.type === 'finding') {
      found(report.input, report.error);
      return;
    }
    const kept = values.keep === undefined ? '' : `, ${report.kept} kept`;
    console.log(
      `${name}: ${report.runs} inputs, a corpus of ${report.corpus}${kept} (SOCRYPT_TEST_SEED=${seed})`,
    );
  });
}

/** The real command in a process of its own: compiled once per test file, started, listened to, signalled. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** Below the repository, so that the compiled files find package.json and node_modules. */
const compiled = join(root, 'build', `cli-test-${process.pid}`);

export function compile(): void {
  if (existsSync(compiled)) return;
  mkdirSync(compiled, { recursive: true });
  execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json', '--outDir', compiled], {
    cwd: root,
  });
}
export const removeCompiled = (): void => rmSync(compiled, { recursive: true, force: true });

export interface Finished {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Command {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  stdout = '';
  stderr = '';

  /** `shell`: words before the command, as in `ulimit -n 64; exec`. */
  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}, shell?: string) {
    const command = [process.execPath, join(compiled, 'cli/main.js'), ...args];
    const [file, ...rest] =
      shell === undefined ? command : ['/bin/bash', '-c', `${shell} "$0" "$@"`, ...command];
    this.child = spawn(file!, rest, {
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        SOCRYPT_ADDON: join(root, 'build/native/socrypt.node'),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout!.on('data', (chunk) => {
      this.stdout += chunk;
    });
    this.child.stderr!.on('data', (chunk) => {
      this.stderr += chunk;
    });
    this.finished = new Promise((resolve) => {
      this.child.on('close', (status, signal) => resolve({ status, signal }));
    });
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** The JSON lines of the log. */
  log(): Record<string, unknown>[] {
    return this.stderr
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Port of the first URL of this kind in the banner. */
  port(kind: 'url' | 'metrics' | 'redirect'): number {
    return Number(new RegExp(`^ *${kind} +https?://[^ ]*:(\\d+)`, 'm').exec(this.stdout)?.[1]);
  }
}

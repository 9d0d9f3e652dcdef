/** Starts a server program on a port of its own choosing or ours, and stops that one process again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { type AddressInfo, connect, createServer } from 'node:net';

const PATIENCE_MS = 20_000;

export interface ServerProgram {
  readonly port: number;
  /** Until its output holds that. */
  printed(text: string): Promise<void>;
  /** To its standard input. */
  say(line: string): void;
  stop(): Promise<void>;
}

/** `args` gets a port that was free a moment ago. */
export async function serverProgram(
  program: string,
  args: (port: number) => string[],
): Promise<ServerProgram> {
  const port = await freePort();
  const child = spawn(program, args(port), { stdio: 'pipe' });
  let output = '';
  child.stdout.on('data', (bytes: Buffer) => {
    output += bytes.toString('latin1');
  });
  child.stderr.on('data', (bytes: Buffer) => {
    output += bytes.toString('latin1');
  });
  child.stdin.on('error', () => {});
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  await listening(port, child, () => output);
  return {
    port,
    printed: (text) =>
      until(
        () => output.includes(text),
        () => `no "${text}" in:\n${output}`,
      ),
    say: (line) => child.stdin.write(`${line}\n`),
    stop: () => {
      child.kill('SIGKILL');
      return ended;
    },
  };
}

async function until(done: () => boolean, complaint: () => string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!done()) {
    if (Date.now() > deadline) throw new Error(complaint());
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listening(port: number, child: ChildProcess, output: () => string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline && child.exitCode === null) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  child.kill('SIGKILL');
  throw new Error(`it does not listen:\n${output()}`);
}

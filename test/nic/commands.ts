/** Commands that a test runs in a network's host namespace, with sockets below a directory of their own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { Command } from '../cli/support.ts';
import { until } from '../serve/support.ts';
import { Network } from './network.ts';

export class HostCommands {
  readonly places = mkdtempSync(join(tmpdir(), 'socrypt-run-'));
  readonly #running: Command[] = [];

  begin(network: Network, args: readonly string[]): Command {
    const inside = `exec ${Network.inside(network.host).join(' ')}`;
    const command = new Command(args, { SOCRYPT_RUN_DIRECTORY: this.places }, inside);
    this.#running.push(command);
    return command;
  }
  /** Resolves when it has said `said`; that it ends before is a failure. */
  async start(network: Network, args: readonly string[], said: string): Promise<Command> {
    const command = this.begin(network, args);
    let over = false;
    void command.finished.then(() => {
      over = true;
    });
    await until(() => over || command.stdout.includes(said), said, 30_000);
    expect(over, command.stderr).toBe(false);
    return command;
  }
  /** Kills all of them. */
  async end(): Promise<void> {
    for (const command of this.#running.splice(0)) {
      command.signal('SIGKILL');
      await command.finished;
    }
  }
  remove(): void {
    rmSync(this.places, { recursive: true, force: true });
  }
}

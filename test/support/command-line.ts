/** The command line in this process, and what it says. */
import type { Io } from '../../src/cli/io.ts';
import { run } from '../../src/cli/run.ts';

export async function commandLine(...args: string[]) {
  const said = { out: '', err: '' };
  const io: Io = {
    env: {},
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    columns: 80,
    onSignal: () => () => {},
  };
  return { status: await run(args, io), ...said };
}

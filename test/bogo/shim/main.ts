/** The program that the runner starts for each test: bssl_shim's protocol over src/tls. */
import { appendFileSync, writeSync } from 'node:fs';
import { advanceClock } from './engine.ts';
import { Exchange } from './exchange.ts';
import { type CommandLine, parseCommandLine, UnknownFlag } from './flags.ts';
import { Refused } from './refused.ts';

const UNIMPLEMENTED = 89;
/** The test fails, whether or not it wants the connection to. */
const FAULT = 90;

/** Resolves to the exit status. */
async function run(args: readonly string[]): Promise<number> {
  let commandLine: CommandLine;
  try {
    commandLine = parseCommandLine(args);
  } catch (error) {
    if (!(error instanceof UnknownFlag)) throw error;
    const list = process.env.SOCRYPT_BOGO_UNIMPLEMENTED;
    if (list !== undefined) appendFileSync(list, `${error.flag}\n`);
    say(error.message);
    return UNIMPLEMENTED;
  }
  const { initial, resume } = commandLine;
  if (initial['is-handshaker-supported']) {
    writeSync(1, 'No\n');
    return 0;
  }
  let session: Uint8Array | undefined;
  for (let connection = 0; connection <= (initial['resume-count'] ?? 0); connection++) {
    const options = connection === 0 ? initial : resume;
    if (connection > 0 && !options.server && session === undefined) throw new Refused('no session to offer');
    session = await Exchange.run(options, connection > 0, session);
    advanceClock(options['resumption-delay'] ?? 0);
  }
  return 0;
}

function say(message: string): void {
  writeSync(2, `${message}\n`);
}

process.on('uncaughtException', (error) => {
  say(String(error.stack));
  process.exit(FAULT);
});
run(process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error: Error) => {
    say(error.name === 'Error' || error.name === '' ? error.message : `${error.name}: ${error.message}`);
    process.exit(error instanceof Refused ? 1 : FAULT);
  },
);

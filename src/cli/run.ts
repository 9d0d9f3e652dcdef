/** The command line: which command, and what its failures look like. */
import { UsageError } from '../serve/errors.ts';
import { serveHelp } from '../serve/option-help.ts';
import { nearest } from '../serve/suggest.ts';
import { VERSION } from '../serve/version.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE, type Io } from './io.ts';

const HELP = `Usage: socrypt COMMAND [OPTIONS]

  socrypt serve [ROOT]    serves a directory over HTTPS; \`socrypt serve --help\` lists the options
  socrypt cryptod         lends accelerators to other processes; \`socrypt cryptod --help\` lists the options
  socrypt ocf list        crypto drivers, what they can do and cost; \`socrypt ocf bench\` measures them; attach and withdraw
                          change those of a running server
  socrypt nic COMMAND     an inline NIC of its own process: up, down; status, flows and trace of it, or of a server's own;
                          \`socrypt nic --help\`
  socrypt doctor          says what this machine can do for it, and why not more; --json for programs
  socrypt lab             breaks the network around the inline NIC and checks what leaves; \`socrypt lab --help\`
  socrypt --version       prints the version
  socrypt --help          prints this text
`;

const COMMANDS = ['serve', 'nic', 'cryptod', 'ocf', 'doctor', 'lab', 'help', 'version'];

/** Options that are wrong together with what http/ says of its own. */
const isUsage = (error: unknown): boolean =>
  error instanceof UsageError || (error as { code?: unknown })?.code === 'ERR_SOCRYPT_HTTP_OPTION';

/** Resolves to the exit status. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const [command, ...rest] = args;
  try {
    switch (command) {
      case '--version':
      case '-V':
      case 'version':
        io.out(`${VERSION}\n`);
        return EXIT_OK;
      case '--help':
      case '-h':
      case 'help':
        io.out(rest[0] === 'serve' ? `${serveHelp(io.columns)}\n` : HELP);
        return EXIT_OK;
      case undefined:
        io.err(HELP);
        return EXIT_USAGE;
      case 'serve':
        if (asksForHelp(rest)) {
          io.out(`${serveHelp(io.columns)}\n`);
          return EXIT_OK;
        }
        // Loaded late: --help and --version must work where the native part does not.
        return await (await import('./serve-command.ts')).serveCommand(rest, io);
      case 'cryptod': {
        const { CRYPTOD_HELP, cryptodCommand } = await import('./cryptod-command.ts');
        if (!asksForHelp(rest)) return await cryptodCommand(rest, io);
        io.out(CRYPTOD_HELP);
        return EXIT_OK;
      }
      case 'ocf': {
        const { OCF_HELP, ocfCommand } = await import('./ocf-command.ts');
        if (!asksForHelp(rest)) return await ocfCommand(rest, io);
        io.out(OCF_HELP);
        return EXIT_OK;
      }
      case 'nic':
        return await (await import('./nic-command.ts')).nicCommand(rest, io);
      case 'doctor':
        return await (await import('./doctor.ts')).doctorCommand(rest, io);
      case 'lab':
        return await (await import('./lab-command.ts')).labCommand(rest, io);
      default: {
        const near = nearest(command, COMMANDS);
        const hint = near === null ? 'expected serve, doctor or lab' : `did you mean \`socrypt ${near}\`?`;
        const directory = command.startsWith('-')
          ? ''
          : ` (to serve a directory: \`socrypt serve ${command}\`)`;
        io.err(
          `socrypt: ${JSON.stringify(command)} is not a command; ${hint}${near === null ? directory : ''}\n`,
        );
        return EXIT_USAGE;
      }
    }
  } catch (error) {
    return explain(error, io);
  }
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  const options = end === -1 ? args : args.slice(0, end);
  return options.includes('--help') || options.includes('-h');
}

/** One message per problem, on stderr; the code last, for whoever looks it up. */
export function explain(error: unknown, io: Io): number {
  if (error instanceof UsageError) {
    for (const problem of error.problems) io.err(`socrypt: ${problem}\n`);
    return EXIT_USAGE;
  }
  const code = (error as { code?: unknown } | null)?.code;
  const known = typeof code === 'string' && code.startsWith('ERR_SOCRYPT_');
  const message = error instanceof Error ? error.message : String(error);
  io.err(`socrypt: ${message}${known ? ` [${code}]` : ''}\n`);
  // Not ours, so not expected: whoever reports it needs to know where it came from.
  if (!known && error instanceof Error && error.stack !== undefined) io.err(`${error.stack}\n`);
  return isUsage(error) ? EXIT_USAGE : EXIT_FAILED;
}

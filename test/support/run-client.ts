/** Programs of other people as TLS clients. */
import { spawn } from 'node:child_process';

/** Runs a client, gives it the lines as soon as it has connected, and waits until `until` is in its output. */
export function runClient(program: string, args: string[], lines: string[], until: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'pipe' });
    let output = '';
    let next = 0;
    const timer = setTimeout(() => {
      child.kill();
      reject(new Error(`no "${until}" from ${program}:\n${output}`));
    }, 20_000);
    const take = (bytes: Buffer) => {
      output += bytes.toString('latin1');
      // One line after the answer to the one before: s_client takes its commands at the start of a read only.
      if (next > 0 && next < lines.length && output.includes(lines[next - 1]!.toUpperCase())) {
        child.stdin.write(`${lines[next++]}\n`);
      }
      if (output.includes(until)) child.stdin.end();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.stdin.on('error', () => {});
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      resolve(output);
    });
    if (lines.length > 0) child.stdin.write(`${lines[next++]}\n`);
  });
}

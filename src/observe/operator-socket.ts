/**
 * What operators ask a running process: a line of JSON each way over a Unix socket, which only the user who runs the process
 * and root may use. The kernel says who asks (SO_PEERCRED).
 */
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { SocryptError } from '../errors.ts';
import { native } from '../native.ts';

/** Answers, or throws what is told to whoever asks. */
export type Answerer = (question: unknown) => unknown;

// A question is one short line.
const MAX_QUESTION = 8192;
const MAX_CONNECTIONS = 16;
const ASK_WITHIN_MS = 5000;
/** A driver may take seconds over its known answers. */
const ANSWER_WITHIN_MS = 60_000;

const CONTROL_ERROR = 'ERR_SOCRYPT_CONTROL';

interface Reply {
  readonly answer?: unknown;
  readonly error?: { readonly code: string; readonly message: string };
}

export class OperatorSocket {
  readonly #server: Server;
  readonly #path: string;
  readonly #inode: bigint;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, path: string, sockets: Set<Socket>) {
    this.#server = server;
    this.#path = path;
    this.#inode = inodeOf(path)!;
    this.#sockets = sockets;
  }

  /** Throws ERR_SOCRYPT_CONTROL: the path is another's. One that was left behind by a process that was killed is replaced. */
  static async listen(path: string, answer: Answerer): Promise<OperatorSocket> {
    const refuse = (why: string, cause?: unknown) =>
      new SocryptError(CONTROL_ERROR, `Expected to listen for operators at ${path}, but ${why}.`, { cause });
    const there = lstatSync(path, { throwIfNoEntry: false });
    if (there !== undefined && !there.isSocket()) throw refuse('there is a file that is no socket');
    if (there !== undefined) {
      if (await answers(path)) throw refuse('another process listens there; name another path');
      rmSync(path, { force: true });
    }
    const sockets = new Set<Socket>();
    const server = createServer((socket) => serve(socket, sockets, answer));
    server.maxConnections = MAX_CONNECTIONS;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(refuse(error.message, error)));
      server.listen(path, resolve);
    });
    // Errors of accept (EMFILE) are no reason to end the process.
    server.on('error', () => {});
    try {
      chmodSync(path, 0o600);
    } catch (error) {
      server.close();
      throw refuse((error as Error).message, error);
    }
    return new OperatorSocket(server, path, sockets);
  }

  /** Nobody is answered any more, and the socket is gone unless it is another's by now. */
  async close(): Promise<void> {
    // What was answered a moment ago is still sent.
    for (const socket of this.#sockets) socket.destroySoon();
    const ours = inodeOf(this.#path) === this.#inode;
    // Node removes the path as well, and would remove another's.
    if (ours) await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    else this.#server.unref();
  }
}

const inodeOf = (path: string): bigint | undefined =>
  lstatSync(path, { bigint: true, throwIfNoEntry: false })?.ino;

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}

/** Whether whoever is at the other end may ask. */
function mayAsk(socket: Socket): boolean {
  const handle = (socket as unknown as { _handle?: { fd?: unknown } })._handle;
  if (typeof handle?.fd !== 'number' || handle.fd < 0) return false;
  const user = native.files.peerUser(handle.fd);
  return user === process.geteuid!() || user === 0;
}

function serve(socket: Socket, sockets: Set<Socket>, answer: Answerer): void {
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
  socket.on('error', () => socket.destroy());
  const reply = (what: Reply) => socket.end(`${JSON.stringify(what)}\n`);
  const refuse = (message: string) => reply({ error: { code: CONTROL_ERROR, message } });
  if (!mayAsk(socket)) return void refuse('Expected the user who runs this process, or root.');
  socket.setTimeout(ASK_WITHIN_MS, () => socket.destroy());
  socket.setEncoding('utf8');
  let text = '';
  const onData = (part: string) => {
    text += part;
    const end = text.indexOf('\n');
    if (end === -1) {
      if (text.length > MAX_QUESTION) socket.destroy();
      return;
    }
    socket.off('data', onData);
    socket.setTimeout(0);
    void answerLine(text.slice(0, end), answer).then(reply);
  };
  socket.on('data', onData);
}

async function answerLine(line: string, answer: Answerer): Promise<Reply> {
  try {
    return { answer: (await answer(JSON.parse(line))) ?? null };
  } catch (error) {
    if (error instanceof SyntaxError)
      return { error: { code: CONTROL_ERROR, message: 'Expected a line of JSON.' } };
    const { code, message } = error as SocryptError;
    return { error: { code: code ?? CONTROL_ERROR, message } };
  }
}

/** Throws what the process at `path` says is wrong, or ERR_SOCRYPT_CONTROL when there is none. */
export function askOperator(path: string, question: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const failed = (why: string, cause?: unknown) =>
      reject(new SocryptError(CONTROL_ERROR, `Nobody answers at ${path}: ${why}.`, { cause }));
    const socket = connect(path);
    socket.setTimeout(ANSWER_WITHIN_MS, () => socket.destroy(new Error('it is silent')));
    socket.setEncoding('utf8');
    let text = '';
    socket.on('connect', () => socket.write(`${JSON.stringify(question)}\n`));
    socket.on('data', (part: string) => {
      text += part;
    });
    socket.on('error', (error) => failed(error.message, error));
    socket.on('end', () => {
      let reply: Reply;
      try {
        reply = JSON.parse(text) as Reply;
      } catch (error) {
        return failed('it ended without an answer', error);
      }
      const { answer, error } = reply;
      if (error === undefined) resolve(answer);
      else reject(new SocryptError(error.code as 'ERR_SOCRYPT_CONTROL', error.message));
    });
  });
}

/**
 * A NIC of its own process, lent to others: `socrypt nic up`. Flows and records come over one socket, answered by native
 * threads; operators ask over another, a line of JSON each way.
 */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { SocryptError } from '../errors.ts';
import {
  type NativeNicServer,
  type NicFlow,
  type NicOptions,
  type NicRecordTrace,
  native,
} from '../native.ts';
import { counterFacts, NIC_ERROR, type NicLog, OwnNic } from './nic.ts';
import { flowsSocket, nicDirectory, operatorsSocket } from './places.ts';

export interface NicDaemonOptions extends NicOptions {
  /** Users who may send through it, besides root and the one who runs it. */
  readonly users: readonly number[];
}

export interface NicDaemonStatus {
  readonly pid: number;
  readonly wire: string | null;
  readonly portDriver: string;
  readonly resync: string;
  readonly alive: boolean;
  readonly reason: string;
  readonly wirePort: string;
  readonly hostPort: string;
  readonly guard: string;
  readonly flows: number;
  readonly retainedBytes: number;
  readonly clients: number;
  readonly refused: number;
  readonly violations: number;
  /** Those that are not zero. */
  readonly counters: Readonly<Record<string, number>>;
}

/** What can be asked, and what is answered. */
export interface Answers {
  status: NicDaemonStatus;
  flows: NicFlow[];
  trace: NicRecordTrace[] | null;
  down: 'ending';
}
type Question = keyof Answers;
interface Asked {
  readonly ask: Question;
  readonly flow?: number;
}

// A question is one short line.
const MAX_QUESTION = 256;
const PATIENCE_MS = 5000;

export class NicDaemon {
  readonly nic: OwnNic;
  readonly #options: NicDaemonOptions;
  readonly #lender: NativeNicServer;
  readonly #operators: Server;
  readonly #sockets = new Set<Socket>();
  readonly #onDown: () => void;

  private constructor(options: NicDaemonOptions, log: NicLog, onDown: () => void) {
    this.#options = options;
    this.#onDown = onDown;
    this.nic = new OwnNic(options, log);
    try {
      mkdirSync(nicDirectory(options.hostPort), { recursive: true, mode: 0o755 });
      // Users are told apart by their credentials; who is not on the list is refused.
      const mode = options.users.length > 0 ? 0o666 : 0o600;
      this.#lender = new native.NicServer(
        this.nic.native,
        flowsSocket(options.hostPort),
        mode,
        options.users,
      );
    } catch (error) {
      this.nic.detach();
      throw new SocryptError(NIC_ERROR, `The NIC cannot be lent: ${(error as Error).message}.`, {
        cause: error,
      });
    }
    this.#operators = createServer((socket) => this.#serve(socket));
    this.#operators.maxConnections = 16;
  }

  /** `onDown`: somebody asked for the end. */
  static async start(options: NicDaemonOptions, log: NicLog, onDown: () => void): Promise<NicDaemon> {
    const daemon = new NicDaemon(options, log, onDown);
    try {
      await daemon.#listen();
    } catch (error) {
      await daemon.close();
      throw error;
    }
    return daemon;
  }

  #listen(): Promise<void> {
    const path = operatorsSocket(this.#options.hostPort);
    // The name is ours: the lender above has it, and refuses a second one.
    rmSync(path, { force: true });
    return new Promise((resolve, reject) => {
      this.#operators.once('error', reject);
      this.#operators.listen(path, () => {
        chmodSync(path, 0o600);
        resolve();
      });
    });
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setTimeout(PATIENCE_MS, () => socket.destroy());
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (part: string) => {
      text += part;
      const end = text.indexOf('\n');
      if (end === -1) {
        if (text.length > MAX_QUESTION) socket.destroy();
        return;
      }
      socket.end(`${JSON.stringify(this.#answer(text.slice(0, end)))}\n`);
    });
  }

  #answer(line: string): { answer: Answers[Question] } | { error: string } {
    let asked: Partial<Asked>;
    try {
      asked = JSON.parse(line) as Partial<Asked>;
    } catch {
      return { error: 'expected a line of JSON' };
    }
    switch (asked?.ask) {
      case 'status':
        return { answer: this.status() };
      case 'flows':
        return { answer: this.nic.native.flows() };
      case 'trace':
        if (!Number.isSafeInteger(asked.flow) || asked.flow! < 0)
          return { error: 'expected the id of a flow' };
        return { answer: this.nic.native.trace(asked.flow!) };
      case 'down':
        setImmediate(this.#onDown);
        return { answer: 'ending' };
      default:
        return { error: 'expected ask to be status, flows, trace or down' };
    }
  }

  status(): NicDaemonStatus {
    const { clients, refused, violations } = this.#lender.counts();
    const counts = this.nic.counters();
    const named = counterFacts.map(({ name }, i) => [name, counts[i] ?? 0] as const);
    const counters = Object.fromEntries(named.filter(([, n]) => n !== 0));
    const { wire, portDriver, resync } = this.#options;
    return {
      pid: process.pid,
      wire,
      portDriver,
      resync,
      ...this.nic.status(),
      clients,
      refused,
      violations,
      counters,
    };
  }

  /** Ends the flows, and removes what was made. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroySoon();
    await new Promise<void>((resolve) => this.#operators.close(() => resolve()));
    this.#lender.close();
    this.nic.detach();
    rmSync(nicDirectory(this.#options.hostPort), { recursive: true, force: true });
  }
}

/** Throws ERR_SOCRYPT_NIC when there is nobody, or the answer is an error. */
export function ask<Q extends Question>(name: string, question: Q, flow?: number): Promise<Answers[Q]> {
  return new Promise((resolve, reject) => {
    const failed = (why: string, cause?: unknown) =>
      reject(new SocryptError(NIC_ERROR, `The NIC ${name} does not answer: ${why}.`, { cause }));
    const socket = connect(operatorsSocket(name));
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error('it is silent')));
    socket.setEncoding('utf8');
    let text = '';
    socket.on('connect', () => socket.write(`${JSON.stringify({ ask: question, flow })}\n`));
    socket.on('data', (part: string) => {
      text += part;
    });
    socket.on('error', (error: NodeJS.ErrnoException) =>
      failed(error.code === 'ENOENT' ? 'it is not up (socrypt nic up)' : error.message, error),
    );
    socket.on('end', () => {
      try {
        const parsed = JSON.parse(text) as { answer?: Answers[Q]; error?: string };
        if (parsed.error !== undefined) failed(parsed.error);
        else resolve(parsed.answer as Answers[Q]);
      } catch (error) {
        failed('its answer is not JSON', error);
      }
    });
  });
}

/**
 * A NIC of its own process, lent to others: `socrypt nic up`. Flows and records come over one socket, answered by native
 * threads; operators ask over another, a line of JSON each way.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { SocryptError } from '../errors.ts';
import {
  type NativeNicServer,
  type NicFlow,
  type NicOptions,
  type NicRecordTrace,
  native,
} from '../native.ts';
import { askOperator, OperatorSocket } from '../observe/operator-socket.ts';
import { NIC_ERROR, type NicLog, OwnNic } from './nic.ts';
import { type AskedNic, answerOfNic, askedNic, type NicOperatorStatus } from './operators.ts';
import { flowsSocket, nicDirectory, operatorsSocket } from './places.ts';

export interface NicDaemonOptions extends NicOptions {
  /** Users who may send through it, besides root and the one who runs it. */
  readonly users: readonly number[];
}

export interface NicDaemonStatus extends NicOperatorStatus {
  readonly clients: number;
  readonly refused: number;
  readonly violations: number;
}

/** What can be asked, and what is answered. */
export interface Answers {
  status: NicDaemonStatus;
  flows: NicFlow[];
  trace: NicRecordTrace[] | null;
  down: 'ending';
}
type Question = keyof Answers;
export class NicDaemon {
  readonly nic: OwnNic;
  readonly #asked: AskedNic;
  readonly #options: NicDaemonOptions;
  readonly #lender: NativeNicServer;
  #operators: OperatorSocket | null = null;
  readonly #onDown: () => void;

  private constructor(options: NicDaemonOptions, log: NicLog, onDown: () => void) {
    this.#options = options;
    this.#onDown = onDown;
    this.nic = new OwnNic({ ...options, lent: true }, log);
    this.#asked = askedNic(this.nic);
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
      throw new SocryptError(
        NIC_ERROR,
        `Expected to lend the NIC ${options.hostPort} at ${flowsSocket(options.hostPort)}, but ${(error as Error).message}.`,
        { cause: error },
      );
    }
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

  async #listen(): Promise<void> {
    this.#operators = await OperatorSocket.listen(operatorsSocket(this.#options.hostPort), (question) =>
      this.#answer(question),
    );
  }

  #answer(question: unknown): unknown {
    if ((question as { ask?: unknown } | null)?.ask === 'down') {
      setImmediate(this.#onDown);
      return 'ending';
    }
    return answerOfNic({ ...this.#asked, status: () => this.status() }, question, ['down']);
  }

  /** Processes that it is lent to. */
  clients(): ReturnType<NativeNicServer['counts']> {
    return this.#lender.counts();
  }

  status(): NicDaemonStatus {
    const { counters, ...facts } = this.#asked.status();
    return { ...facts, ...this.clients(), counters };
  }

  /** Ends the flows, and removes what was made. */
  async close(): Promise<void> {
    await this.#operators?.close();
    this.#lender.close();
    this.nic.detach();
    rmSync(nicDirectory(this.#options.hostPort), { recursive: true, force: true });
  }
}

/** Throws what the NIC says is wrong, or ERR_SOCRYPT_NIC when there is nobody. */
export async function ask<Q extends Question>(name: string, question: Q, flow?: number): Promise<Answers[Q]> {
  const path = operatorsSocket(name);
  try {
    return (await askOperator(path, { ask: question, flow })) as Answers[Q];
  } catch (error) {
    const { cause, message } = error as SocryptError;
    // It has answered.
    if (cause === undefined) throw error;
    const code = (cause as NodeJS.ErrnoException).code;
    // A socket that nobody listens at was left by a process that was killed.
    const absent = code === 'ENOENT' || code === 'ECONNREFUSED';
    const denied = code === 'EACCES' || code === 'EPERM';
    const why = absent
      ? `it is not up: nobody listens at ${path}; start it (socrypt nic up --host ${name}), name another one, or ask a server with --server PATH.`
      : denied
        ? `${message} Root may ask, and the user who runs it.`
        : message;
    throw new SocryptError(NIC_ERROR, `The NIC ${name} does not answer: ${why}`, { cause: error });
  }
}

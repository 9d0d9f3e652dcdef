/** What operators ask a server through its control socket (the option control). */
import { SocryptError } from '../errors.ts';
import { answerOfNic } from '../nic/operators.ts';
import type { Server } from './server.ts';

type Question = Partial<Record<'ask' | 'driver' | 'algorithm' | 'question', unknown>>;

const wrong = (expected: string) =>
  new SocryptError('ERR_SOCRYPT_CONTROL', `The question was not understood: expected ${expected}.`);

export function answerOperator(
  server: Pick<Server, 'drivers' | 'attachDriver' | 'withdrawDriver' | 'nic'>,
  question: unknown,
): unknown {
  const asked = (typeof question === 'object' ? (question ?? {}) : {}) as Question;
  const { ask, driver, algorithm } = asked;
  if (ask === 'nic') return answerOfNic(server.nic(), asked.question);
  if (ask === 'drivers') return server.drivers();
  if (ask !== 'attach' && ask !== 'withdraw') throw wrong('ask to be drivers, attach, withdraw or nic');
  if (typeof driver !== 'string') throw wrong('the name or number of a driver');
  if (ask === 'attach') return server.attachDriver(driver);
  if (algorithm !== undefined && typeof algorithm !== 'string') throw wrong('the name of an algorithm');
  return server.withdrawDriver(driver, algorithm === undefined ? {} : { algorithm });
}

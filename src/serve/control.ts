/** What operators ask a server through its control socket (the option control). */
import { SocryptError } from '../errors.ts';
import type { Server } from './server.ts';

type Question = Partial<Record<'ask' | 'driver' | 'algorithm', unknown>>;

const wrong = (expected: string) =>
  new SocryptError('ERR_SOCRYPT_CONTROL', `The question was not understood: expected ${expected}.`);

export function answerOperator(
  server: Pick<Server, 'drivers' | 'attachDriver' | 'withdrawDriver'>,
  question: unknown,
): unknown {
  const { ask, driver, algorithm } = (typeof question === 'object' ? (question ?? {}) : {}) as Question;
  if (ask === 'drivers') return server.drivers();
  if (ask !== 'attach' && ask !== 'withdraw') throw wrong('ask to be drivers, attach or withdraw');
  if (typeof driver !== 'string') throw wrong('the name or number of a driver');
  if (ask === 'attach') return server.attachDriver(driver);
  if (algorithm !== undefined && typeof algorithm !== 'string') throw wrong('the name of an algorithm');
  return server.withdrawDriver(driver, algorithm === undefined ? {} : { algorithm });
}

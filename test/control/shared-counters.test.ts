import { expect, test } from 'vitest';
import { readCounters } from '../../src/control/handshake-counters.ts';
import { readShared, SharedCounters } from '../../src/control/shared-counters.ts';

test('what one thread adds, others read: whole names, sums, and nothing before it is counted', () => {
  const memory = SharedCounters.memory();
  const counters = new SharedCounters(memory);
  const read = () => {
    const values = readShared(memory);
    values.delete('others');
    return Object.fromEntries(values);
  };
  expect(read()).toEqual({});
  counters.add('full', 1);
  counters.add('failed\tgrüße', 2);
  counters.add('full', 3);
  counters.add('pending', 1);
  counters.add('pending', -1);
  expect(read()).toEqual({ full: 4, 'failed\tgrüße': 2, pending: 0 });
});

test('more names than there is room for are counted together, and overwrite nothing', () => {
  const memory = SharedCounters.memory();
  const counters = new SharedCounters(memory);
  for (let i = 0; i < 3000; ++i) counters.add(`name ${i}`, 1);
  counters.add('x'.repeat(300), 1);
  const values = readShared(memory);
  expect(values.get('name 0')).toBe(1);
  expect([...values.values()].reduce((a, b) => a + b)).toBe(3001);
  expect(values.size).toBeLessThanOrEqual(1024);
});

test('the counts of several threads are one', () => {
  const parts = [
    new Map([
      ['full', 2],
      ['failed\tbad_finished', 1],
      ['negotiated\t4865\t29\t', 2],
    ]),
    new Map([
      ['full', 3],
      ['failed\tbad_finished', 1],
      ['failed\tpeer_closed', 1],
      ['pending', 1],
    ]),
  ];
  expect(readCounters(parts)).toEqual({
    full: 5,
    resumed: 0,
    notResumed: new Map(),
    tickets: 0,
    failed: new Map([
      ['bad_finished', 2],
      ['peer_closed', 1],
    ]),
    failedAfter: new Map(),
    negotiated: new Map([['4865\t29\t', 2]]),
    pending: 1,
  });
});

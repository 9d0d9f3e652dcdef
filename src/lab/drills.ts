/**
 * What cannot be done to a device from outside: its contexts are evicted, its clock leaps. Loaded in front of the real
 * stage's server (`node --import`), which knows nothing of it; told what to do by messages, and says what it has done.
 */
import { isMainThread } from 'node:worker_threads';
import { type NativeNic, native } from '../native.ts';

export interface Drill {
  readonly action: string;
  readonly amount: number;
}
export interface Drilled {
  readonly action: string;
  /** That the device had. */
  readonly flows: number;
}

/** False: this is no drill. */
function drill(nic: NativeNic, { action, amount }: Drill): boolean {
  if (action === 'evict') nic.evict();
  else if (action === 'clock-jump') nic.leapClock(amount);
  else return false;
  return true;
}

if (isMainThread && process.send !== undefined) {
  const nics: NativeNic[] = [];
  const { Nic } = native;
  (native as { Nic: typeof NativeNic }).Nic = class extends Nic {
    constructor(...options: ConstructorParameters<typeof NativeNic>) {
      super(...options);
      nics.push(this);
    }
  };
  process.on('message', (wanted: Drill) => {
    for (const nic of nics) {
      const flows = nic.status().flows;
      if (drill(nic, wanted)) process.send?.({ action: wanted.action, flows } satisfies Drilled);
    }
  });
  // It does not keep the server from ending.
  process.channel?.unref();
}

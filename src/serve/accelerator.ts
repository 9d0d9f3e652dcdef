/** What the options of the accelerator path cannot mean. */
import { driverNamed } from '../ocf/driver-names.ts';
import { flagOf, type OptionKey, type Settings } from './options.ts';

export function acceleratorProblems({ offload }: Settings, isDefault: (key: OptionKey) => boolean): string[] {
  const [path, ...rest] = offload.split(':');
  if (path !== 'accelerator') {
    if (isDefault('offloadCheck')) return [];
    return [
      `offloadCheck (--${flagOf('offloadCheck')}) is about accelerators, but offload is ${offload}; give --offload accelerator:DRIVER, or leave it out.`,
    ];
  }
  const driver = rest.join(':');
  const why = driver === '' ? '' : (driverNamed(driver)?.notForRecords ?? '');
  return why === '' ? [] : [`offload (--offload ${offload}): the driver ${driver} cannot serve: ${why}.`];
}

/** The names of drivers that people read are those that the framework knows. */
import { expect, it } from 'vitest';
import { native } from '../../src/native.ts';
import { DRIVER_FORMS, DRIVER_NAMES, driverNamed, RECORD_DRIVER_FORMS } from '../../src/ocf/driver-names.ts';
import { ocf } from '../../src/ocf/index.ts';

it('both tables are the same', () => {
  expect(native.ocf.driverKinds()).toEqual(DRIVER_NAMES.map(({ help, ...rest }) => rest));
});

it('a name is refused in the same words', async () => {
  const refused = async (name: string, said: string) => {
    expect(driverNamed(name)).toBeUndefined();
    await expect(ocf.attach(name)).rejects.toMatchObject({
      code: 'ERR_SOCRYPT_OCF_DRIVER',
      message: `attach: expected ${said}, received ${name}`,
    });
  };
  await refused('flux', `${DRIVER_FORMS} for a driver`);
  await refused('thread:', 'thread for the driver thread');
  await refused('model', 'model:FILE for the driver model');
  await refused('model:', 'model:FILE for the driver model');
  await refused('dpdk:', 'dpdk[:DEVICE] for the driver dpdk');
  expect(RECORD_DRIVER_FORMS).toBe('soft, thread, dpdk[:DEVICE] or model:FILE');
  expect(driverNamed('dpdk:crypto_x,a=b:c')?.name).toBe('dpdk');
});

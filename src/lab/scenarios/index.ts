/** Every scenario, in the order of `socrypt lab list`. */
import type { Scenario } from '../scenario.ts';
import acknowledged from './acknowledged.ts';
import changedFile from './changed-file.ts';
import clockJump from './clock-jump.ts';
import deviceFailure from './device-failure.ts';
import failClosed from './fail-closed.ts';
import forged from './forged.ts';
import keyUpdate from './key-update.ts';
import middlebox from './middlebox.ts';
import migration from './migration.ts';
import pathMtu from './path-mtu.ts';
import quietFile from './quiet-file.ts';
import random from './random.ts';
import tcpToDevice from './tcp-to-device.ts';
import tightLimits from './tight-limits.ts';
import window from './window.ts';
import wireLoss from './wire-loss.ts';

export const scenarios: readonly Scenario[] = [
  wireLoss,
  tcpToDevice,
  middlebox,
  forged,
  acknowledged,
  window,
  pathMtu,
  deviceFailure,
  failClosed,
  clockJump,
  keyUpdate,
  migration,
  changedFile,
  quietFile,
  tightLimits,
  random,
];

/** What `import { lab } from 'socrypt/lab'` gives. */
import { native } from '../native.ts';
import { runReal } from './real.ts';
import * as words from './scenario.ts';
import { scenarios } from './scenarios/index.ts';
import { shrink } from './shrink.ts';
import { run, runPlan } from './simulate.ts';

export { Random } from './random.ts';
export type { RealOptions, RealVerdict } from './real.ts';
export type { LeftOut } from './real-plan.ts';
export type { Chance, Deed, FaultRule, Outcome, Scenario, ScenarioPlan, Seam, Traffic } from './scenario.ts';
export type { ShrinkOptions, Shrunk } from './shrink.ts';
export type { RunOptions, Verdict } from './simulate.ts';

export const lab = {
  ...words,
  scenarios,
  run,
  runPlan,
  /** A failing verdict's plan, as small as it can be and fail in the same way. */
  shrink,
  /** Between network namespaces; the others are in virtual time. */
  runReal,
  /** Names of devices that are broken on purpose, for `RunOptions.device`. */
  devices: native.lab.devices,
};

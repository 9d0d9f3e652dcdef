import {
  drop,
  every,
  growFile,
  milliseconds,
  rewriteFile,
  scenario,
  shrinkFile,
  stray,
} from '../scenario.ts';

export default scenario({
  name: 'changed-file',
  about:
    'A file is rewritten, cut and lengthened while it is sent without a copy: one ciphertext per counter, or an end.',
  plan: (random) => ({
    traffic: {
      connections: 3,
      bytes: 400_000,
      guardedPercent: 70,
      fileBytes: random.between(20_000, 300_000),
    },
    faults: [
      drop({ at: 'out', percent: 3 }),
      drop({ at: 'host', percent: 1 }),
      stray({ percent: 2, bytes: 3000 }),
    ],
    deeds: [
      every(milliseconds(random.between(5, 60)), rewriteFile(random.between(1, 20))),
      every(milliseconds(90), shrinkFile(random.between(1, 999)), milliseconds(31)),
      every(milliseconds(90), growFile(), milliseconds(53)),
    ],
  }),
  expect: ({ statistics }) =>
    statistics.guardEnded ? undefined : 'expected connections that the guard ends',
});

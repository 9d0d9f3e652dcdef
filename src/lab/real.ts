/**
 * The real stage: `socrypt serve --offload nic` and its kernel's TCP in one network namespace, curl and openssl in
 * another, and between them a wire with a scenario's faults that compares what goes by (nic/lab/faulty_wire.hpp).
 */
import { join } from 'node:path';
import { makeDevelopmentCertificate } from '../control/development-certificate.ts';
import { SocryptError } from '../errors.ts';
import { native } from '../native.ts';
import { ASIDE, HOST_ADDRESS, whyNoRealStage } from './namespaces.ts';
import { Random } from './random.ts';
import { type LeftOut, nameOf, type RealDeed, realPlanOf } from './real-plan.ts';
import type { Scenario } from './scenario.ts';
import { CANARY, ServedFile } from './served-file.ts';
import { Stage, type Transfer, transfer } from './stage.ts';

export interface RealOptions {
  readonly seed: number;
  /** Default 0: two transfers by each peer. */
  readonly minutes?: number;
  readonly resync?: string;
  /** Keeps the last 20,000 frames for `pcap`. */
  readonly capture?: boolean;
  readonly signal?: AbortSignal;
}

export interface RealVerdict {
  readonly scenario: string;
  readonly seed: number;
  readonly verdict: 'pass' | 'fail';
  /** Why it failed; '' otherwise. */
  readonly reason: string;
  /** Those that had the whole file. */
  readonly transfers: number;
  /** Those that ended early by what the scenario does; what they had was of the file. */
  readonly ended: number;
  readonly bytes: number;
  readonly seconds: number;
  /** How often the device lost its ports, and another took its place. */
  readonly deaths: number;
  /** How often each deed was done. */
  readonly deeds: Readonly<Record<string, number>>;
  /** Names as in nic/lab/wire_counts.def. */
  readonly counts: Readonly<Record<string, number>>;
  /** Of what happened between TCP and the device, names as in nic/lab/host_counts.def; empty: nothing was to. */
  readonly before: Readonly<Record<string, number>>;
  /** What the server counts, as its /metrics has it in the end. */
  readonly server: Readonly<Record<string, number>>;
  /** What of the scenario this stage does not do. */
  readonly leftOut: readonly LeftOut[];
  readonly pcap: Uint8Array | null;
}

const HOST_PORT = 'socrypt0';
const LEAST_TRANSFERS = 4;
/** So many in a row that ended early, and none else, are no chance. */
const MOST_ENDED = 20;
const LONGEST_PAUSE = 300;
const HAPPENED = [
  'dropped',
  'duplicated',
  'overtaken',
  'delayed',
  'corrupted',
  'resegmented',
  'coalesced',
  'forgedAcks',
  'spoofedRsts',
];
/**
 * What a peer says of a record that does not open, or of a handshake that is not one. The server's own internal_error is how
 * it ends a connection whose file changed.
 */
const NOT_TLS =
  /bad record mac|decrypt|bad signature|wrong version|unexpected message|illegal parameter|decode error|bad certificate/i;

/** Does a deed; false: there was nothing to do it to. */
function doDeed({ action, amount, by }: Omit<RealDeed, 'phase'>, stage: Stage, file: ServedFile): boolean {
  switch (by) {
    case 'device':
      return stage.namespaces.deleteOnHost(HOST_PORT);
    case 'nic':
      // Counted when it has answered.
      stage.drill({ action, amount });
      return false;
    case 'file':
      if (!file.mayChange) return false;
      if (action === 'rewrite') file.rewrite(amount);
      else if (action === 'shrink') file.shrink(amount);
      else file.grow();
      return true;
    case 'peer':
      if (action === 'key-update') return stage.updateKeys();
      if (action === 'peer-reset') return stage.killPeer();
      return stage.stopPeer(Math.min(LONGEST_PAUSE, amount / 1000));
    case 'wire':
      // The kernel keeps what it has learned of a path for ten minutes.
      if (action === 'mtu') stage.namespaces.forgetPaths();
      return stage.wire!.act({ action, amount });
  }
}

/** '' or what was wrong with it. */
function wrongWith({ by, ran, body }: Transfer, file: ServedFile, mayEnd: boolean): string {
  const whole = ran.code === 0;
  const ended = mayEnd && !NOT_TLS.test(ran.errors);
  if (!whole && !ended)
    return `${by} ended with ${ran.code ?? ran.signal} after ${body.length} bytes: ${ran.errors.trim()}`;
  const wrong = file.wrongWith(body, whole && !mayEnd);
  return wrong === '' ? '' : `${by} got ${wrong}`;
}

/** Why the server has closed connections, for who has to find out. */
const closings = (server: Readonly<Record<string, number>>): string =>
  Object.entries(server)
    .filter(([name, value]) => name.startsWith('connections_closed_total') && value > 0)
    .map(([name, value]) => `${/reason="(.*?)"/.exec(name)?.[1]} ${value}`)
    .join(', ');

export async function runReal(scenario: Scenario, options: RealOptions): Promise<RealVerdict> {
  const { seed, minutes = 0, capture = false, signal } = options;
  const { plan, before, deeds, leftOut, mayEnd } = realPlanOf(scenario, options);
  const missing = whyNoRealStage();
  if (missing !== null)
    throw new SocryptError(
      'ERR_SOCRYPT_NIC_RIGHTS',
      `The real stage cannot be on this machine: ${missing}; the simulated one can (leave out --stage real).`,
    );
  const stage = new Stage();
  const done: Record<string, number> = {};
  const timers: NodeJS.Timeout[] = [];
  const abort = () => stage.end();
  signal?.addEventListener('abort', abort);
  let file: ServedFile | undefined;
  try {
    const { cert, key } = makeDevelopmentCertificate('laboratory', new Date());
    const ca = stage.write('cert.pem', cert);
    const random = new Random(seed);
    file = new ServedFile(stage.write('site/file.txt', ''), random);
    const does = (action: string) => deeds.some((one) => one.action === action);
    stage.namespaces.setReceiveBuffer(plan.receiveBuffer ?? (does('zero-window') ? 65_536 : null));
    const wire = new native.LabWire(plan, {
      namespace: stage.namespaces.middlePath,
      first: 'x0',
      second: 'x1',
      canary: CANARY,
      capture,
    });
    stage.wire = wire;
    const zeroCopy = plan.guardedPercent ? ['guard'] : ['guard', 'copy'];
    await stage.serve([
      ...[join(stage.folder, 'site'), '--cert', ca, '--key', stage.write('key.pem', key)],
      ...['--offload', 'nic', '--wire', 'w0', '--address', `${HOST_ADDRESS}/24`, '--host-port', HOST_PORT],
      ...['--workers', '1', '--resync', plan.resync ?? 'order-free'],
      ...['--zero-copy', random.one(zeroCopy), '--host-driver', random.one(['tap', 'tap', 'veth'])],
      ...['--on-device-loss', does('abandon') ? 'close' : 'software'],
    ]);
    if (before !== null)
      stage.seam = new native.LabHostSeam(before, {
        namespace: stage.namespaces.hostPath,
        port: HOST_PORT,
        ...ASIDE,
        canary: CANARY,
      });
    const served = file;
    const begin = ({ phase, ...deed }: RealDeed) => {
      const act = () => {
        if (doDeed(deed, stage, served)) done[deed.action] = (done[deed.action] ?? 0) + 1;
      };
      const first = setTimeout(() => {
        act();
        timers.push(setInterval(act, deed.every));
      }, phase * deed.every);
      timers.push(first);
    };
    for (const deed of deeds) begin(deed);
    const started = performance.now();
    const seconds = () => (performance.now() - started) / 1000;
    let transfers = 0;
    let ended = 0;
    let bytes = 0;
    let reason = '';
    const over = () => signal?.aborted ?? false;
    // Both peers, with both versions, whatever the time.
    while (reason === '' && !over() && (transfers + ended < LEAST_TRANSFERS || seconds() < minutes * 60)) {
      file.begin();
      const one = await transfer(stage, transfers + ended, '/file.txt', ca, {
        keyUpdates: does('key-update'),
        mayEnd,
      });
      if (over()) break;
      reason = wrongWith(one, file, mayEnd);
      const { finding } = wire.state();
      if (finding !== null) reason = `${finding.invariant}: ${finding.what} (frame ${finding.frame})`;
      if (reason !== '') break;
      if (one.ran.code === 0) transfers++;
      else ended++;
      bytes += one.body.length;
    }
    const took = seconds();
    for (const timer of timers) clearInterval(timer);
    const server = stage.metrics();
    Object.assign(done, stage.drilled);
    const { counts } = wire.state();
    const seam = stage.seam?.state();
    const { problem = '' } = seam ?? {};
    const notBefore =
      problem === '' ? [] : (before?.rules ?? []).map((rule) => ({ what: nameOf(rule), why: problem }));
    if (reason !== '') {
      reason += `\n      the server closed: ${closings(server) || 'none'}`;
      if (stage.errors !== '') reason += `\n      and said: ${stage.errors.trim().split('\n').at(-1)}`;
    } else if (transfers === 0 && ended >= MOST_ENDED) {
      reason = `expected transfers of the whole file, but all ${ended} ended early`;
    }
    const faults = HAPPENED.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
    const { frames: _, attached: _a, refused: _r, ...faultsBefore } = seam?.counts ?? {};
    const happened =
      faults +
      Object.values(faultsBefore).reduce((sum, n) => sum + n, 0) +
      Object.values(done).reduce((sum, n) => sum + n, 0);
    const due = Math.min(...deeds.map(({ every }) => every));
    if (reason === '' && transfers > 0 && happened === 0 && (deeds.length === 0 || took * 1000 > 2 * due))
      reason = `expected faults, but none happened to ${(counts.framesOut ?? 0) + (counts.framesBack ?? 0)} frames`;
    const deaths = deeds
      .filter(({ by }) => by === 'device')
      .reduce((sum, { action }) => sum + (done[action] ?? 0), 0);
    if (does('renege')) done.renegingsOfTcp = stage.renegings();
    // Not each that was asked for comes before the last is done.
    if (does('key-update')) done['key-update'] = server['tls_rekeys_total{direction="out"}'] ?? 0;
    return {
      scenario: scenario.name,
      seed,
      verdict: reason === '' ? 'pass' : 'fail',
      reason,
      transfers,
      ended,
      bytes,
      seconds: took,
      deaths,
      deeds: done,
      counts,
      before: seam?.counts ?? {},
      server,
      leftOut: [...leftOut, ...notBefore],
      pcap: capture ? wire.pcap() : null,
    };
  } finally {
    for (const timer of timers) clearInterval(timer);
    signal?.removeEventListener('abort', abort);
    await stage.close();
    file?.close();
  }
}

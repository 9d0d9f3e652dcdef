/** Puts the families into a registry of prom-client, or of anything with its shape. */
import { type ErrorCode, SocryptError } from '../errors.ts';
import type { Family, Labels } from './families.ts';

/** What both prom-client 15 and @prometheus-io/client offer. */
export interface MetricRegistry {
  registerMetric(metric: unknown): void;
  removeSingleMetric(name: string): void;
  metrics(): Promise<string>;
  readonly contentType: string;
}

export const METRIC_ERROR: ErrorCode = 'ERR_SOCRYPT_METRIC_TAKEN';

interface CollectedValue {
  readonly value: number;
  readonly labels: Labels;
  readonly metricName?: string;
}

/** A metric as prom-client's registry reads it; values come from the snapshot, nothing is observed twice. */
class FamilyMetric<S> {
  // Not readonly: a registry with the OpenMetrics content type cuts `_total` off.
  name: string;
  readonly help: string;
  readonly type: Family<S>['type'];
  readonly aggregator: string;
  readonly #family: Family<S>;
  readonly #snapshot: () => S;

  constructor(family: Family<S>, snapshot: () => S) {
    this.name = family.name;
    this.help = family.help;
    this.type = family.type;
    this.aggregator = 'sum';
    this.#family = family;
    this.#snapshot = snapshot;
  }

  get(): Promise<object> {
    const { name, help, type, aggregator } = this;
    const values = this.#family
      .samples(this.#snapshot())
      .map(
        ({ value, labels, suffix }): CollectedValue =>
          suffix === undefined
            ? { value, labels }
            : { value, labels, metricName: `${this.#family.name}${suffix}` },
      );
    return Promise.resolve({ name, help, type, aggregator, values });
  }

  /** The counters are the engines'; they begin again with the process. */
  reset(): void {}
}

/** Registers every family; the result takes them out again. Throws ERR_SOCRYPT_METRIC_TAKEN, leaving nothing behind. */
export function registerFamilies<S>(
  registry: MetricRegistry,
  families: readonly Family<S>[],
  take: () => S,
): () => void {
  let current: S | undefined;
  // A scrape asks every metric in one turn of the event loop: one snapshot for all.
  const snapshot = (): S => {
    if (current === undefined) {
      current = take();
      queueMicrotask(() => {
        current = undefined;
      });
    }
    return current;
  };
  const registered: string[] = [];
  const metrics = families.map((family) => new FamilyMetric(family, snapshot));
  const remove = () => {
    for (const name of registered.splice(0)) registry.removeSingleMetric(name);
  };
  try {
    for (const metric of metrics) {
      registry.registerMetric(metric);
      registered.push(metric.name);
    }
  } catch (error) {
    remove();
    throw new SocryptError(
      METRIC_ERROR,
      `The metrics could not be registered: ${(error as Error).message} Give each server, and whatever else has metrics of the same names, a registry of its own.`,
      { cause: error },
    );
  }
  return remove;
}

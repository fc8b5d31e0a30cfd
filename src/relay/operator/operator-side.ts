import type { OwnerServices } from '../services.js';
import type { RelayFigures } from '../statistics/figures.js';
import { formatMetrics } from '../statistics/metrics-text.js';
import { type StatisticsFileOptions, StatisticsFiles } from '../statistics/statistics-files.js';
import { ControlPort } from './control-port.js';
import type { ControlPasswords } from './control-session.js';
import { MetricsPort } from './metrics-port.js';
import { operatorActions } from './operator-actions.js';

/** What a relay has for its operator, beside its work for clients. */
export interface OperatorOptions {
  /** Files of statistics; none unless given. */
  readonly statistics?: StatisticsFileOptions;
  /** Port of the control commands on loopback, 0 for one of the system's choice; none unless given. */
  readonly controlPort?: number;
  /** What its users must know; nobody has a role unless given. Secrets. */
  readonly controlPasswords?: ControlPasswords;
  /** Port of the metrics on loopback, 0 for one of the system's choice; none unless given. */
  readonly metricsPort?: number;
  /** Version of the program, for the metrics. */
  readonly version?: string;
  /** Text for the metrics (`XFTP_RTS_OPTIONS`). */
  readonly rtsOptions?: string;
}

/** The operator's side of a relay at work. */
export interface OperatorSide {
  readonly controlPort: number | undefined;
  readonly metricsPort: number | undefined;
  /** Ends it and saves the statistics. */
  readonly stop: () => Promise<void>;
}

/**
 * Opens the operator's ports and begins to write statistics.
 *
 * @throws XftpError ADDRESS_IN_USE, NO_PERMISSION or LOCAL_IO, with nothing left behind
 */
export async function startOperatorSide(
  options: OperatorOptions,
  services: OwnerServices,
  figures: () => Promise<RelayFigures>,
  report: (problem: string) => void,
): Promise<OperatorSide> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(stops.map((each) => each()));
  };
  const open = async (
    server: { listen(port: number): Promise<number>; stop(): Promise<void> },
    port: number,
  ): Promise<number> => {
    const opened = await server.listen(port);
    stops.push(() => server.stop());
    return opened;
  };
  try {
    const none = { admin: undefined, user: undefined };
    const control = new ControlPort(options.controlPasswords ?? none, operatorActions(services, figures));
    const controlPort =
      options.controlPort === undefined ? undefined : await open(control, options.controlPort);
    const metricsPort =
      options.metricsPort === undefined
        ? undefined
        : await open(new MetricsPort(async () => formatMetrics(await figures())), options.metricsPort);
    const { statistics, now } = services;
    const files = new StatisticsFiles(options.statistics ?? {}, { statistics, figures, now, report });
    await files.start();
    stops.push(() => files.stop());
    return { controlPort, metricsPort, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

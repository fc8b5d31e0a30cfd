import { get } from 'node:http';
import { connect } from 'node:net';

import { XftpError } from '../../protocol/index.js';
import type { RelayConfig } from '../config.js';
import { type LockUse, relayHolderOf } from '../instance-lock.js';
import { LOOPBACK } from './loopback.js';

/** A relay as it is seen from outside. */
export interface RelayStatus {
  readonly running: boolean;
  /** Whether it says anything: one that runs and does not is stopped, or too busy. */
  readonly answers: boolean;
  /** Number of its process, or of the one that uses its files, where that can be told (on Linux). */
  readonly process: number | undefined;
  /** What else is done with its files while it does not run. */
  readonly use: Exclude<LockUse, 'relay'> | undefined;
  /** What it tells, by the names of the metrics; undefined when it does not run, or has no port to ask at. */
  readonly metrics: ReadonlyMap<string, number> | undefined;
}

/** How long a relay on this machine has for its answer, in ms. */
const ANSWER_MS = 5000;
/** The answer is some 5 KB. */
const MAX_ANSWER = 256 * 1024;

/**
 * Asks the relay with this configuration how it is: at its metrics port, or at its control port with a password from the
 * configuration.
 *
 * @throws XftpError CONNECT_FAILED when it has a port but does not answer there as it should
 */
export async function askRelay(config: RelayConfig): Promise<RelayStatus> {
  const holder = await relayHolderOf(config.filesPath);
  const stopped = { running: false, answers: false, process: undefined, use: undefined, metrics: undefined };
  if (holder?.held === false) return stopped;
  if (holder !== undefined && holder.use !== 'relay')
    return { ...stopped, use: holder.use, process: holder.process };
  const number = holder?.process;
  const silent = { ...stopped, running: holder !== undefined };
  try {
    const metrics = await askForMetrics(config);
    if (number === undefined && metrics === undefined) return silent;
    return { ...stopped, running: true, answers: true, process: number, metrics };
  } catch (error) {
    if (number === undefined) return silent;
    throw error;
  }
}

async function askForMetrics(config: RelayConfig): Promise<ReadonlyMap<string, number> | undefined> {
  const { controlPasswords, controlPort, metricsPort } = config;
  const password = controlPasswords.admin ?? controlPasswords.user;
  if (metricsPort !== undefined) return parseMetrics(await fetchMetrics(metricsPort), metricsPort);
  if (controlPort === undefined || password === undefined) return undefined;
  return parseMetrics(await askControlPort(controlPort, password), controlPort);
}

/** The samples in an answer, without those that have labels. */
function parseMetrics(text: string, port: number): ReadonlyMap<string, number> {
  const samples = new Map<string, number>();
  for (const [, name = '', value = ''] of text.matchAll(/^([a-z_]+) (\+Inf|[\d.e+]+)$/gm))
    samples.set(name, value === '+Inf' ? Infinity : Number(value));
  if (samples.size === 0) throw noAnswer(port, undefined);
  return samples;
}

function fetchMetrics(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: LOOPBACK, port, path: '/metrics', timeout: ANSWER_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        text += piece;
        if (text.length > MAX_ANSWER) response.destroy(new Error('not a metrics port'));
      });
      response.on('end', () => {
        resolve(text);
      });
      response.on('error', (error) => {
        reject(noAnswer(port, error));
      });
    });
    request.on('timeout', () => request.destroy());
    request.on('error', (error) => {
      reject(noAnswer(port, error));
    });
  });
}

function askControlPort(port: number, password: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect({ host: LOOPBACK, port });
    socket.setEncoding('utf8').setTimeout(ANSWER_MS, () => socket.destroy(new Error('no answer')));
    socket.write(`auth ${password}\nstats\nquit\n`);
    socket.on('data', (piece: string) => {
      text += piece;
      if (text.length > MAX_ANSWER) socket.destroy(new Error('not a control port'));
    });
    socket.on('error', (error) => {
      reject(noAnswer(port, error));
    });
    socket.on('end', () => {
      resolve(text);
    });
  });
}

function noAnswer(port: number, cause: unknown): XftpError {
  return new XftpError(
    'CONNECT_FAILED',
    `The relay runs but tells nothing on ${LOOPBACK}, port ${String(port)}: is it still starting, which a large store ` +
      'log makes long, or was the INI changed since it was started?',
    { cause },
  );
}

// The worker thread of a CipherThread: encryption, decryption, digests and the file access that goes with them.
import { randomUUID } from 'node:crypto';
import { closeSync, fchmodSync, fstatSync, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parentPort } from 'node:worker_threads';

import { XftpError } from '../protocol/index.js';
import { type CipherHandlers, type CipherReply, type CipherRequest, transferListOf } from './cipher-calls.js';
import { localFailure } from './local-failure.js';
import { OpenStream } from './open-stream.js';
import { SealStream } from './seal-stream.js';

/** Part files hold a file that is not verified yet: nobody else may read them. */
const PART_FILE_MODE = 0o600;

interface OpenPart {
  readonly stream: OpenStream;
  path: string;
  file?: number;
  /** The mode that any new file gets here: the finished file's. */
  finalMode: number;
}

const seals = new Map<number, SealStream>();
const opens = new Map<number, OpenPart>();

const handlers: CipherHandlers = {
  sealStart({ stream, ...request }) {
    const seal = new SealStream(request);
    seals.set(stream, seal);
    return { sourceSize: seal.sourceSize, chunkSizes: seal.chunkSizes };
  },
  sealNext({ stream, buffer }) {
    return { buffer, ...find(seals, stream).next(buffer) };
  },
  sealFinish({ stream }) {
    return { digest: find(seals, stream).finish() };
  },
  openStart({ stream, ...request }) {
    opens.set(stream, { stream: new OpenStream(request), path: '', finalMode: 0 });
    return {};
  },
  openFirst({ stream, chunk }) {
    const part = find(opens, stream);
    part.stream.accept(chunk);
    return part.stream.readPrefix();
  },
  openPart({ stream, path }) {
    const part = find(opens, stream);
    part.finalMode = attempt(path, () => newFileMode(join(dirname(path), `.${randomUUID()}.mode`)));
    const file = attempt(path, () => openSync(path, 'wx', PART_FILE_MODE));
    part.path = path;
    part.file = file;
    part.stream.writeTo((bytes, position) => {
      attempt(path, () => {
        writeAll(file, bytes, position);
      });
    });
    return { buffers: part.stream.flush() };
  },
  openNext({ stream, chunk }) {
    const part = find(opens, stream);
    part.stream.accept(chunk);
    return { buffers: part.stream.flush() };
  },
  openFinish({ stream }) {
    const { stream: open, file, path, finalMode } = find(opens, stream);
    open.finish();
    if (file !== undefined)
      attempt(path, () => {
        changeMode(file, finalMode);
        fsyncSync(file);
      });
    return {};
  },
  close({ stream }) {
    seals.get(stream)?.close();
    seals.delete(stream);
    const file = opens.get(stream)?.file;
    opens.delete(stream);
    if (file !== undefined) closeSync(file);
    return {};
  },
};

parentPort?.on('message', (request: CipherRequest) => {
  const reply = answer(request);
  parentPort?.postMessage(reply, 'result' in reply ? transferListOf(reply.result) : []);
});

function answer(request: CipherRequest): CipherReply {
  try {
    return { id: request.id, result: call(request) };
  } catch (error) {
    const { code, message } = localFailure(error, 'a file');
    return { id: request.id, failure: { code, message } };
  }
}

function call(request: CipherRequest): object {
  const handler: (parameters: never) => object = handlers[request.name];
  // The request type ties the name to its parameters; TypeScript cannot follow that through the table.
  return handler(request.parameters as never);
}

function find<T>(streams: ReadonlyMap<number, T>, stream: number): T {
  const found = streams.get(stream);
  // Only a thread that took the place of one that died can be asked for a stream that it does not know.
  if (found === undefined) throw new XftpError('LOCAL_IO', 'The encryption thread ended unexpectedly.');
  return found;
}

function attempt<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw localFailure(error, path);
  }
}

/** The mode that new files get here, learned from one: asking for the process's mask would change it for a moment. */
function newFileMode(path: string): number {
  const file = openSync(path, 'wx');
  try {
    return fstatSync(file).mode;
  } finally {
    closeSync(file);
    unlinkSync(path);
  }
}

/** Some file systems know no modes; the file is as good without. */
function changeMode(file: number, mode: number): void {
  try {
    fchmodSync(file, mode);
  } catch {
    // It keeps the mode that it was made with.
  }
}

function writeAll(file: number, bytes: Uint8Array, position: number): void {
  let done = 0;
  while (done < bytes.length) done += writeSync(file, bytes, done, bytes.length - done, position + done);
}

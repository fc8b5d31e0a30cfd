// The worker thread of a CipherThread: encryption, decryption, digests and the file access that goes with them.
import { randomUUID } from 'node:crypto';
import { closeSync, fstatSync, openSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parentPort } from 'node:worker_threads';

import { XftpError } from '../protocol/index.js';
import type { CipherHandlers, CipherReply, CipherRequest } from './cipher-calls.js';
import { localFailure } from './local-failure.js';
import { OpenStream } from './open-stream.js';
import { PartWriter } from './part-writer.js';
import { SealStream } from './seal-stream.js';

interface OpenPart {
  readonly stream: OpenStream;
  path: string;
  writer?: PartWriter;
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
    return find(seals, stream).next(buffer);
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
    const writer = attempt(path, () => new PartWriter(path));
    part.path = path;
    part.writer = writer;
    part.stream.writeTo((length, decrypt) => {
      attempt(path, () => {
        writer.write(length, decrypt);
      });
    });
    return { written: part.stream.flush() };
  },
  openNext({ stream, chunk }) {
    const part = find(opens, stream);
    part.stream.accept(chunk);
    return { written: part.stream.flush() };
  },
  openFinish({ stream }) {
    const { stream: open, writer, path, finalMode } = find(opens, stream);
    open.finish();
    attempt(path, () => writer?.finish(finalMode));
    return {};
  },
  close({ stream }) {
    seals.get(stream)?.close();
    seals.delete(stream);
    opens.get(stream)?.writer?.close();
    opens.delete(stream);
    return {};
  },
};

parentPort?.on('message', (request: CipherRequest) => {
  parentPort?.postMessage(answer(request));
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

// The worker thread of a CipherThread: encryption, decryption, digests and the file access that goes with them.
import { parentPort } from 'node:worker_threads';

import { XftpError } from '../protocol/index.js';
import { openChunkBox } from './chunk-box.js';
import type { CipherHandlers, CipherReply, CipherRequest } from './cipher-calls.js';
import { newFileMode } from './file-mode.js';
import { localFailure, newFileFailure } from './local-failure.js';
import { OpenStream } from './open-stream.js';
import { cutToContent, writeChunk } from './part-chunks.js';
import { PartWriter } from './part-writer.js';
import { sealChunkAgain } from './seal-chunk.js';
import { SealStream } from './seal-stream.js';
import { VerifyStream } from './verify-stream.js';

interface OpenPart {
  readonly stream: OpenStream;
  path: string;
  writer?: PartWriter;
  /** The mode that any new file gets here: the finished file's. */
  finalMode: number;
}

const seals = new Map<number, SealStream>();
const opens = new Map<number, OpenPart>();
const verifications = new Map<number, VerifyStream>();

const handlers: CipherHandlers = {
  sealStart({ stream, ...request }) {
    const seal = new SealStream(request);
    seals.set(stream, seal);
    const { sourceSize, modifiedMs, chunkSizes, prefix } = seal;
    return { sourceSize, modifiedMs, chunkSizes, prefix };
  },
  sealNext({ stream, buffer }) {
    return find(seals, stream).next(buffer);
  },
  sealFinish({ stream }) {
    const seal = find(seals, stream);
    return { digest: seal.finish(), tag: seal.tag };
  },
  sealChunk(chunk) {
    return { digest: sealChunkAgain(chunk) };
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
    part.finalMode = attempt(path, () => newFileMode(path), newFileFailure);
    const writer = attempt(path, () => new PartWriter(path), newFileFailure);
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
  openBox({ chunk }) {
    openChunkBox(chunk);
    return {};
  },
  writeChunk(chunk) {
    writeChunk(chunk);
    return {};
  },
  verifyStart({ stream, ...request }) {
    verifications.set(stream, new VerifyStream(request));
    return {};
  },
  verifyNext({ stream }) {
    return { intact: find(verifications, stream).next() };
  },
  verifyFinish({ stream }) {
    find(verifications, stream).finish();
    return {};
  },
  finishPart({ path, contentLength }) {
    cutToContent(path, contentLength);
    return {};
  },
  close({ stream }) {
    seals.get(stream)?.close();
    seals.delete(stream);
    opens.get(stream)?.writer?.close();
    opens.delete(stream);
    verifications.get(stream)?.close();
    verifications.delete(stream);
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

function attempt<T>(path: string, work: () => T, failureOf = localFailure): T {
  try {
    return work();
  } catch (error) {
    throw failureOf(error, path);
  }
}

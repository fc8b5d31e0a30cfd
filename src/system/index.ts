export { afterEvents } from './after-events.js';
export { errorCode } from './error-code.js';
export { hasPeer } from './has-peer.js';
export { makeFolders, removeEmptyFolders, removeEmptyFoldersNow } from './make-folders.js';
export { isSameProcess, processMark } from './process-mark.js';
export { countReceived } from './young-collection.js';

export { errorCode } from './error-code.js';
export { makeFolders } from './make-folders.js';

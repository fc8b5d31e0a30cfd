import { expect } from 'vitest';
import type { FailureCode } from '#src/protocol/index.js';

/** What `toThrow` needs to see to it that an XftpError with this code is thrown. */
export function failing(code: FailureCode): Error {
  return expect.objectContaining({ name: 'XftpError', code }) as Error; // vitest types its matchers as any
}

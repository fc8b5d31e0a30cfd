import { discardPart } from '../transfer/index.js';

/** A file that only one transfer needs. */
export interface Leftover {
  readonly path: string;
  /** The path that it was about to get. */
  readonly finalPath?: string;
  /** Whether further copies are made from it. */
  readonly replicating?: boolean;
}

/** Removes them; what is not there any more is as good as removed. */
export async function removeLeftovers(leftovers: readonly Leftover[]): Promise<void> {
  for (const { path, finalPath } of leftovers) await discardPart(path, finalPath);
}

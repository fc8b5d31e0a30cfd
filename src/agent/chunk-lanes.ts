import { TaskGroup } from '../transfer/index.js';

/**
 * Works through a list that may grow on the way, so many at once, in order.
 *
 * @param most how many at once at most, asked whenever one is done
 * @param work gives what comes next instead, such as the pieces of what it could not do as a whole
 * @throws the first failure of `work`, when all of it has ended; its signal aborts then
 */
export async function inLanes<T extends object>(
  items: readonly T[],
  { most, signal }: { readonly most: () => number; readonly signal: AbortSignal },
  work: (item: T, signal: AbortSignal) => Promise<readonly T[]>,
): Promise<void> {
  const waiting = [...items];
  const group = new TaskGroup(signal);
  let lanes = 0;
  const lane = async (): Promise<void> => {
    for (
      let item = waiting.shift();
      item !== undefined;
      item = lanes > most() ? undefined : waiting.shift()
    ) {
      waiting.unshift(...(await work(item, group.signal)));
      fill();
    }
    lanes -= 1;
  };
  // A lane takes its first item as soon as it is added.
  const fill = (): void => {
    while (lanes < most() && waiting.length > 0) {
      lanes += 1;
      void group.add(lane);
    }
  };
  await group.run(async () => {
    fill();
    await Promise.resolve();
  });
}

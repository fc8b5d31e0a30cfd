/** Work to be done when a test, or a group of tests, has ended. */
export type CleanUpWork = () => Promise<void>;

/** How a resource says what is to be done when its user has ended; `onTestFinished` is one. */
export type OnEnd = (work: CleanUpWork) => void;

/**
 * Collects the clean-up of resources that a `beforeAll` hook makes for several tests:
 * `const end = cleanUp(); relay = await startRelayProcess({ onEnd: end.add }); return end.run;`
 */
export function cleanUp(): { readonly add: OnEnd; readonly run: CleanUpWork } {
  const works: CleanUpWork[] = [];
  return {
    add: (work) => works.push(work),
    run: async () => {
      // What was made last is in use by nothing else.
      for (const work of works.reverse()) await work();
    },
  };
}

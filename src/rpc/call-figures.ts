/** Number and time of the calls of one method. */
export interface CallFigures {
  /** Calls by outcome: `ok`, the code of a failure, or that of JSON-RPC. */
  readonly outcomes: Map<string, number>;
  count: number;
  /** Seconds of all of them. */
  seconds: number;
}

/** What is counted about calls; the label of a method that does not exist is `unknown`. */
export interface CallCounter {
  readonly byMethod: ReadonlyMap<string, CallFigures>;
  readonly count: (method: string, outcome: string, seconds: number) => void;
}

/** A counter that starts at nothing. */
export function callCounter(): CallCounter {
  const byMethod = new Map<string, CallFigures>();
  return {
    byMethod,
    count: (method, outcome, seconds) => {
      const figures = byMethod.get(method) ?? { outcomes: new Map<string, number>(), count: 0, seconds: 0 };
      byMethod.set(method, figures);
      figures.outcomes.set(outcome, (figures.outcomes.get(outcome) ?? 0) + 1);
      figures.count += 1;
      figures.seconds += seconds;
    },
  };
}

// The median of several runs, figure by figure: other work on the machine disturbs some of them.

/** Takes objects of the same shape and gives one with the median of each number; other values are those of the first. */
export function medianOf(runs) {
  const [first] = runs;
  if (typeof first === 'number') return middle(runs);
  if (typeof first !== 'object' || first === null) return first;
  const entries = Object.keys(first).map((key) => [key, medianOf(runs.map((run) => run[key]))]);
  return Array.isArray(first) ? entries.map(([, value]) => value) : Object.fromEntries(entries);
}

function middle(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

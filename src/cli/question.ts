import { createInterface } from 'node:readline';

/**
 * Asks a question until it is answered with yes (or Enter) or no. Without a terminal one line is read from standard
 * input, and its end counts as no.
 */
export async function confirm(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin });
  try {
    process.stdout.write(question);
    for await (const line of lines) {
      const answer = line.trim().toLowerCase();
      if (['', 'y', 'yes'].includes(answer)) return true;
      if (['n', 'no'].includes(answer)) return false;
      process.stdout.write(question);
    }
    process.stdout.write('\n');
    return false;
  } finally {
    lines.close();
  }
}

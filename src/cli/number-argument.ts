import { InvalidArgumentError } from 'commander';

/** A reader of whole numbers for arguments and options. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,15}$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`Give a whole number from ${String(min)} to ${String(max)}.`);
    return value;
  };
}

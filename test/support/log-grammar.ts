/**
 * The store log as the protocol reference has it (section 11.4): fields with one blank between them, IDs, keys, digests
 * and paths as base64url with padding, LF after each record, nothing else.
 */
const ID = '[\\w-]{22}==';
const ED25519_KEY = 'MCowBQYDK2VwAyEA[\\w-]{43}=';
const X25519_KEY = 'MCowBQYDK2VuAyEA[\\w-]{43}=';
const ED448_KEY = 'MEMwBQYDK2VxAzoA[\\w-]{76}';
const KEY = `(?:${ED25519_KEY}|${X25519_KEY}|${ED448_KEY})`;
const DIGEST = '[\\w-]{43}=';
const TEXT = '(?:[\\w-]{4})*(?:[\\w-]{2}==|[\\w-]{3}=)?';
const BLOCK = 'reason=(?:spam|content)(?:,notice=\\{(?:"ttl":\\d+)?\\})?';
const RECORDS: readonly RegExp[] = [
  `FNEW ${ID} ${KEY} [1-9]\\d* ${DIGEST} (?<hour>\\d+) (?:active|off|blocked,${BLOCK})`,
  `FADD ${ID} ${ID}:${KEY}(?:,${ID}:${KEY})*`,
  `FPUT ${ID} (?=\\S)${TEXT}`,
  `FDEL ${ID}`,
  `FBLK ${ID} ${BLOCK}`,
  `FACK ${ID}`,
].map((record) => new RegExp(`^${record}$`));

/** The records of a log by their first words, in order; throws at the first line that is none. */
export function strictRecords(text: string): string[] {
  if (text !== '' && !text.endsWith('\n')) throw new Error('The log does not end with a line feed.');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const match = RECORDS.map((record) => record.exec(line)).find((found) => found !== null);
      if (match === undefined) throw new Error(`This is not a record: ${line}`);
      const hour = match.groups?.hour;
      if (hour !== undefined && Number(hour) % 3600 !== 0) throw new Error(`This is not an hour: ${line}`);
      return line.slice(0, 4);
    });
}

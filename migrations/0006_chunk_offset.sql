-- Where a chunk starts in the encrypted file, in bytes: the order of the chunks. A chunk that was split keeps its number
-- for its first piece, and the other pieces get new ones; a description counts the chunks anew.
ALTER TABLE chunks ADD COLUMN offset INTEGER NOT NULL DEFAULT 0;
UPDATE chunks SET offset = placed.start
FROM (
  SELECT transfer_id, number, SUM(size) OVER (PARTITION BY transfer_id ORDER BY number) - size AS start FROM chunks
) AS placed
WHERE placed.transfer_id = chunks.transfer_id AND placed.number = chunks.number;

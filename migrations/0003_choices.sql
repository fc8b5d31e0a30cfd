-- What a server is for: files are sent through it, and downloads from it need no approval. Among those that files are
-- sent through, ones with a higher priority come first.
ALTER TABLE servers ADD COLUMN sends INTEGER NOT NULL DEFAULT 1;
ALTER TABLE servers ADD COLUMN approved INTEGER NOT NULL DEFAULT 1;
ALTER TABLE servers ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;

-- What shares connections with a transfer, if that is less than the setting says; and its own limit, in bytes per second.
ALTER TABLE transfers ADD COLUMN isolation TEXT CHECK (isolation IN ('server', 'transfer', 'chunk'));
ALTER TABLE transfers ADD COLUMN byte_limit INTEGER;

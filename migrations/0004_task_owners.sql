-- Whose chunk it is about, if that is known, and what may share connections with that transfer, which may be gone by
-- the time when the relay is told.
ALTER TABLE relay_tasks ADD COLUMN owner TEXT;
ALTER TABLE relay_tasks ADD COLUMN isolation TEXT CHECK (isolation IN ('server', 'transfer', 'chunk'));

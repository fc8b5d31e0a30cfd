-- On how many relays each chunk of a send is to be, and on how many it must be for the send to be completed.
ALTER TABLE sends ADD COLUMN replicas INTEGER NOT NULL DEFAULT 1;
ALTER TABLE sends ADD COLUMN replicas_required INTEGER NOT NULL DEFAULT 1;
-- 1 while a completed send still brings its chunks onto further relays.
ALTER TABLE sends ADD COLUMN replicating INTEGER NOT NULL DEFAULT 0;

CREATE INDEX sends_replicating ON sends (transfer_id) WHERE replicating = 1;

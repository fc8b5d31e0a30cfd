-- JSON array of the folders that a transfer may read from and save to, those of its token; NULL for all. A copy: the
-- token may be revoked while the transfer goes on.
ALTER TABLE transfers ADD COLUMN folders TEXT;
UPDATE transfers SET folders = (SELECT tokens.folders FROM tokens WHERE tokens.id = token_id);

-- Whose transfer an event tells of, also when the transfer is no more.
ALTER TABLE events ADD COLUMN token_id INTEGER;
UPDATE events SET token_id = (SELECT transfers.token_id FROM transfers WHERE transfers.id = transfer_id)
WHERE transfer_id IS NOT NULL;

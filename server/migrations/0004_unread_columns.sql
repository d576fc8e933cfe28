-- Nothing reads these.
ALTER TABLE rollouts DROP COLUMN phase;
ALTER TABLE operations DROP COLUMN finished_at;

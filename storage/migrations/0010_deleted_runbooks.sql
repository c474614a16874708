-- A runbook that was deleted is kept for the runs it has had.

ALTER TABLE runbook ADD COLUMN deleted_at {bigint};

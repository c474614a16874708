-- The text of the rehearsal of a version that is kept in the database; none where it stands beside the runbook's file.

ALTER TABLE version_rehearsal ADD COLUMN source TEXT;

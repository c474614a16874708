-- The columns are named for what they hold.

ALTER TABLE execution RENAME COLUMN ending TO pending_result;
ALTER TABLE execution RENAME COLUMN parked TO waiting_steps;
ALTER TABLE execution RENAME COLUMN asking TO reopened_gates;
ALTER TABLE card RENAME COLUMN told_seq TO posted_seq;

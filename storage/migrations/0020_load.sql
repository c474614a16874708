-- What a worker says with its heartbeat: calls under way, and runs that wait for a place among them.

ALTER TABLE worker ADD COLUMN calls {bigint} NOT NULL DEFAULT 0;

ALTER TABLE worker ADD COLUMN waiting {bigint} NOT NULL DEFAULT 0;

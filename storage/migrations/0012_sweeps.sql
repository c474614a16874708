-- How often a worker has looked for work that is due: it is told with its heartbeat.

ALTER TABLE worker ADD COLUMN sweeps {bigint} NOT NULL DEFAULT 0;

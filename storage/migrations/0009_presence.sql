-- The advisory lock that a worker holds while its process lives; none on SQLite.

ALTER TABLE worker ADD COLUMN lock_key {bigint};

-- When each start of the host was, so that all processes on an SQLite file count from the same moment.

CREATE TABLE host_clock (boot TEXT PRIMARY KEY, started_at {bigint} NOT NULL);

-- Who is doing a request with an idempotency key, until when that counts without a word, and what it was done to.

ALTER TABLE answer ADD COLUMN holder TEXT NOT NULL DEFAULT '';
ALTER TABLE answer ADD COLUMN held_until {bigint} NOT NULL DEFAULT 0;
ALTER TABLE answer ADD COLUMN thing TEXT;

-- What is written only to see whether the database takes writes.

CREATE TABLE probe (id {serial}, filler TEXT NOT NULL);

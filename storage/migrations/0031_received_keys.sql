-- What runs received, under the keys of stored secrets; and of which key each value is, so that another one is told.

DROP TABLE secret_output;
CREATE TABLE secret_output (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    execution_id TEXT NOT NULL REFERENCES execution(id), path TEXT NOT NULL, name TEXT NOT NULL,
    key_id TEXT NOT NULL, wrapped_key TEXT NOT NULL, ciphertext TEXT NOT NULL, key_check TEXT NOT NULL,
    at {bigint} NOT NULL, UNIQUE (execution_id, path, name)
);
ALTER TABLE secret_version ADD COLUMN key_check TEXT;

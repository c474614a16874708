-- The bot's own secrets, encrypted, and when each secret of any source was last used.

CREATE TABLE secret_version (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), name TEXT NOT NULL,
    version {bigint} NOT NULL, set_by TEXT NOT NULL, set_at {bigint} NOT NULL, deleted {bool} NOT NULL,
    key_id TEXT, wrapped_key TEXT, ciphertext TEXT,
    UNIQUE (workspace_id, name, version)
);
CREATE UNIQUE INDEX secret_version_live ON secret_version (workspace_id, name) WHERE ciphertext IS NOT NULL;

CREATE TABLE secret_use (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), name TEXT NOT NULL,
    last_used_at {bigint} NOT NULL, UNIQUE (workspace_id, name)
);

-- Tokens for programs, and the answers to requests that carry an idempotency key.

CREATE TABLE token (
    id TEXT PRIMARY KEY, workspace_id {bigint} NOT NULL REFERENCES workspace(id), user_id TEXT NOT NULL,
    name TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, scopes TEXT NOT NULL, created_at {bigint} NOT NULL,
    created_by TEXT NOT NULL, expires_at {bigint} NOT NULL, last_used_at {bigint}, revoked_at {bigint}, revoked_by TEXT
);
CREATE INDEX token_person ON token (workspace_id, user_id, created_at);

CREATE TABLE answer (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), actor TEXT NOT NULL, key TEXT NOT NULL,
    request TEXT NOT NULL, status {bigint}, headers TEXT NOT NULL, body TEXT NOT NULL, at {bigint} NOT NULL,
    UNIQUE (workspace_id, actor, key)
);
CREATE INDEX answer_at ON answer (at);

-- Which runbooks may use a secret and where it may be sent, as _secrets.yaml said last; secrets that a run received.

CREATE TABLE secret_policy (
    workspace_id {bigint} PRIMARY KEY REFERENCES workspace(id), digest TEXT NOT NULL, content TEXT NOT NULL,
    loaded_at {bigint} NOT NULL
);
CREATE TABLE secret_output (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    execution_id TEXT NOT NULL REFERENCES execution(id), path TEXT NOT NULL, name TEXT NOT NULL, sealed TEXT NOT NULL,
    at {bigint} NOT NULL, UNIQUE (execution_id, path, name)
);

-- What the names in _targets.yaml stand for, as it said last, and what they stood for when a version was approved.

CREATE TABLE target_file (
    workspace_id {bigint} PRIMARY KEY REFERENCES workspace(id), digest TEXT NOT NULL, content TEXT NOT NULL,
    loaded_at {bigint} NOT NULL
);
CREATE TABLE version_target (
    version_id {bigint} PRIMARY KEY, workspace_id {bigint} NOT NULL REFERENCES workspace(id), digest TEXT NOT NULL,
    content TEXT NOT NULL, kept_at {bigint} NOT NULL
);

-- What came of the rehearsals of a version when it was synced last.

CREATE TABLE version_rehearsal (
    version_id {bigint} PRIMARY KEY REFERENCES runbook_version(id), workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    digest TEXT NOT NULL, passed {bool} NOT NULL, at {bigint} NOT NULL, result TEXT NOT NULL
);

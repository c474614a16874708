-- Who has approved or renewed which version, and what it said: one decision may take several people.

CREATE TABLE version_approval (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    version_id {bigint} NOT NULL REFERENCES runbook_version(id), kind TEXT NOT NULL, user_id TEXT NOT NULL, email TEXT,
    digest TEXT NOT NULL, at {bigint} NOT NULL, counted_at {bigint}
);
CREATE INDEX version_approval_version ON version_approval (version_id, id);
INSERT INTO version_approval (workspace_id, version_id, kind, user_id, digest, at, counted_at)
    SELECT workspace_id, id, 'approve', COALESCE(decided_by, 'system'), digest,
        COALESCE(decided_at, created_at), COALESCE(decided_at, created_at)
    FROM runbook_version WHERE status = 'APPROVED' OR EXISTS (
        SELECT 1 FROM audit WHERE audit.action = 'runbook.approve'
            AND audit.thing = 'runbook:' || runbook_version.slug || '@' || runbook_version.number
    );

CREATE TABLE renewal_card (
    channel TEXT PRIMARY KEY, workspace_id {bigint} NOT NULL REFERENCES workspace(id), ts TEXT NOT NULL,
    shown TEXT NOT NULL
);

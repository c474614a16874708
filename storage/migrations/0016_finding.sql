-- Finding runs by who asked for them or answers for them, and by runbook, among any number of runs.

CREATE INDEX execution_requester ON execution (workspace_id, requester, created_at);
CREATE INDEX execution_owner ON execution (workspace_id, owner, created_at) WHERE owner IS NOT NULL;
CREATE INDEX execution_slug ON execution (workspace_id, slug, created_at);

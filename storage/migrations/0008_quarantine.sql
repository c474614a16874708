-- What was quarantined lately is a health check: a look at a few rows.

CREATE INDEX audit_quarantine ON audit (workspace_id, at) WHERE action = 'execution.quarantine';

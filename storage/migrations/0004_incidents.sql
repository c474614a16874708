-- Incidents, the owner of a run, a runbook's successor, and the chain of audit rows.

CREATE TABLE incident (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), channel TEXT NOT NULL, channel_name TEXT NOT NULL,
    title TEXT NOT NULL, severity TEXT NOT NULL, fields TEXT NOT NULL, opened_at {bigint} NOT NULL, opened_by TEXT NOT NULL,
    closed_at {bigint}, closed_by TEXT, close_reason TEXT NOT NULL
);
CREATE UNIQUE INDEX incident_open ON incident (workspace_id, channel) WHERE closed_at IS NULL;
CREATE INDEX incident_channel ON incident (workspace_id, channel, id);

CREATE INDEX card_message ON card (channel, ts);

ALTER TABLE execution ADD COLUMN owner TEXT;
ALTER TABLE runbook ADD COLUMN successor TEXT;

ALTER TABLE audit ADD COLUMN seq {bigint};
ALTER TABLE audit ADD COLUMN hash TEXT;
CREATE UNIQUE INDEX audit_chain ON audit (workspace_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_unsealed ON audit (workspace_id, id) WHERE seq IS NULL;

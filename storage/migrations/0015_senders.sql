-- Whose events are whose: a wait says whom it hears, an event is for one team or for all, and each team takes it once.

CREATE TABLE wait_for (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    step_run_id {bigint} NOT NULL REFERENCES step_run(id), team TEXT NOT NULL, shared {bool} NOT NULL, sender TEXT,
    UNIQUE (step_run_id, sender)
);
INSERT INTO wait_for (workspace_id, step_run_id, team, shared)
    SELECT step_run.workspace_id, step_run.id, COALESCE(execution.team, ''), {false}
    FROM step_run JOIN execution ON execution.id = step_run.execution_id
    WHERE step_run.status = 'WAITING' AND step_run.wait_key IS NOT NULL;

CREATE TABLE wait_taken (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    event {bigint} NOT NULL REFERENCES wait_event(id) ON DELETE CASCADE, team TEXT NOT NULL,
    step_run_id {bigint} NOT NULL REFERENCES step_run(id), UNIQUE (event, team)
);
INSERT INTO wait_taken (workspace_id, event, team, step_run_id)
    SELECT wait_event.workspace_id, wait_event.id, COALESCE(execution.team, ''), wait_event.taken_by
    FROM wait_event JOIN step_run ON step_run.id = wait_event.taken_by
    JOIN execution ON execution.id = step_run.execution_id;

DROP INDEX wait_event_free;
ALTER TABLE wait_event DROP COLUMN taken_by;
ALTER TABLE wait_event ADD COLUMN team TEXT;
ALTER TABLE wait_event ADD COLUMN delivery_id TEXT;
ALTER TABLE wait_event ADD COLUMN size {bigint} NOT NULL DEFAULT 0;
UPDATE wait_event SET size = length(data);
CREATE INDEX wait_event_key ON wait_event (workspace_id, key, received_at);
CREATE INDEX wait_event_sender ON wait_event (workspace_id, sender, received_at);
CREATE INDEX wait_event_age ON wait_event (received_at);
CREATE UNIQUE INDEX wait_event_delivery ON wait_event (workspace_id, sender, delivery_id);

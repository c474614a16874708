-- Containers, phases, controls, events from outside, starting once and concurrency groups.

ALTER TABLE execution ADD COLUMN phase TEXT NOT NULL DEFAULT 'main';
ALTER TABLE execution ADD COLUMN cleanup_until {bigint};
ALTER TABLE execution ADD COLUMN asking {bigint} NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN status_since {bigint} NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN waiting_ms {bigint} NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN paused_ms {bigint} NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN same_as TEXT;
ALTER TABLE execution ADD COLUMN slot_group TEXT;
ALTER TABLE execution ADD COLUMN slot TEXT;
ALTER TABLE execution ADD COLUMN parent_step {bigint};
ALTER TABLE execution ADD COLUMN replay_of TEXT;
CREATE INDEX execution_same ON execution (workspace_id, same_as, created_at) WHERE same_as IS NOT NULL;
CREATE INDEX execution_slot ON execution (workspace_id, slot_group, created_at) WHERE slot IS NOT NULL;
CREATE INDEX execution_cleanup ON execution (cleanup_until) WHERE cleanup_until IS NOT NULL;
CREATE UNIQUE INDEX execution_parent ON execution (parent_step) WHERE parent_step IS NOT NULL;
CREATE INDEX execution_child_open ON execution (parent_step)
    WHERE parent_step IS NOT NULL AND ended_at IS NULL AND ending IS NULL;

ALTER TABLE step_run ADD COLUMN scope TEXT NOT NULL DEFAULT '';
ALTER TABLE step_run ADD COLUMN phase TEXT NOT NULL DEFAULT 'main';
ALTER TABLE step_run ADD COLUMN ended_seq {bigint} NOT NULL DEFAULT 0;
ALTER TABLE step_run ADD COLUMN items TEXT NOT NULL DEFAULT 'null';
ALTER TABLE step_run ADD COLUMN rounds {bigint} NOT NULL DEFAULT 0;
ALTER TABLE step_run ADD COLUMN wait_key TEXT;
ALTER TABLE step_run ADD COLUMN reopened {bool} NOT NULL DEFAULT {false};
CREATE INDEX step_run_scope ON step_run (execution_id, scope);
CREATE INDEX step_run_wait ON step_run (workspace_id, wait_key) WHERE status = 'WAITING' AND wait_key IS NOT NULL;
CREATE INDEX step_run_deadline ON step_run (deadline_at) WHERE status = 'WAITING' AND wait_key IS NOT NULL;

CREATE TABLE wait_event (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), key TEXT NOT NULL, event_id TEXT NOT NULL,
    sender TEXT NOT NULL, data TEXT NOT NULL, received_at {bigint} NOT NULL, taken_by {bigint},
    UNIQUE (workspace_id, sender, event_id)
);
CREATE INDEX wait_event_free ON wait_event (workspace_id, key, received_at) WHERE taken_by IS NULL;

CREATE TABLE idempotency (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), actor TEXT NOT NULL, key TEXT NOT NULL,
    request TEXT NOT NULL, execution_id TEXT NOT NULL, at {bigint} NOT NULL,
    UNIQUE (workspace_id, actor, key)
);

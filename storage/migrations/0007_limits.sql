-- Time limits of whole steps, and another child for a `runbook` step that is tried again.

CREATE INDEX step_run_limit ON step_run (deadline_at)
    WHERE deadline_at IS NOT NULL AND ended_at IS NULL AND kind IN ('branch', 'loop', 'runbook');

ALTER TABLE step_run ADD COLUMN child TEXT;
UPDATE step_run SET child = (SELECT execution.id FROM execution WHERE execution.parent_step = step_run.id)
    WHERE kind = 'runbook';
DROP INDEX execution_parent;
CREATE INDEX execution_parent ON execution (parent_step) WHERE parent_step IS NOT NULL;

-- Who chose what a run does, who owned it and to whom it is offered; what a gate or a child was decided for; steps that
-- a person has marked to be skipped. A step is never skipped because one that it needs was.

ALTER TABLE execution ADD COLUMN chosen_by TEXT NOT NULL DEFAULT '[]';
ALTER TABLE execution ADD COLUMN owners TEXT NOT NULL DEFAULT '[]';
ALTER TABLE execution ADD COLUMN offered_to TEXT;
UPDATE execution SET chosen_by = '["' || requester || '"]';
UPDATE execution SET owners = '["' || owner || '"]' WHERE owner IS NOT NULL;

ALTER TABLE approval ADD COLUMN barred TEXT NOT NULL DEFAULT '[]';

ALTER TABLE step_run ADD COLUMN revision {bigint} NOT NULL DEFAULT 0;
ALTER TABLE step_run ADD COLUMN skip TEXT NOT NULL DEFAULT 'null';
ALTER TABLE step_run ADD COLUMN settled_by TEXT;
UPDATE step_run SET revision = (SELECT execution.revision FROM execution WHERE execution.id = step_run.execution_id)
    WHERE kind IN ('approval', 'branch', 'loop', 'runbook');
ALTER TABLE step_run DROP COLUMN poisoned;

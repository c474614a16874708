-- What a manual step asks of people, each time that it is asked; and the forms of gates, with the answers.

CREATE TABLE manual_task (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), execution_id TEXT NOT NULL,
    step_run_id {bigint} NOT NULL, path TEXT NOT NULL, status TEXT NOT NULL, instructions TEXT NOT NULL,
    assignees TEXT NOT NULL, form TEXT NOT NULL, opened_at {bigint} NOT NULL, expires_at {bigint} NOT NULL,
    remind_at {bigint}, ended_at {bigint}, ended_by TEXT, note TEXT NOT NULL, answers TEXT NOT NULL
);
CREATE INDEX manual_task_execution ON manual_task (execution_id);
CREATE INDEX manual_task_open ON manual_task (expires_at) WHERE status = 'OPEN';
CREATE INDEX manual_task_remind ON manual_task (remind_at) WHERE status = 'OPEN' AND remind_at IS NOT NULL;

-- What a gate asks of its approvers, and what each has answered.

ALTER TABLE approval ADD COLUMN form TEXT;
ALTER TABLE vote ADD COLUMN answers TEXT;

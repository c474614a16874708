-- {serial} and {bigint} are filled in for each database; JSON is text that Python writes in ASCII,
-- so that a NUL or a lone surrogate inside it can be stored anywhere.

CREATE TABLE workspace (
    id {serial}, slack_team TEXT UNIQUE, name TEXT NOT NULL, created_at {bigint} NOT NULL
);

CREATE TABLE runbook (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    slug TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL, team TEXT, tags TEXT NOT NULL, risk TEXT NOT NULL,
    source_path TEXT, current_number {bigint} NOT NULL, status TEXT NOT NULL, updated_at {bigint} NOT NULL,
    UNIQUE (workspace_id, slug)
);

CREATE TABLE runbook_version (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    runbook_id {bigint} NOT NULL REFERENCES runbook(id), slug TEXT NOT NULL, number {bigint} NOT NULL,
    digest TEXT NOT NULL, definition TEXT NOT NULL, source TEXT NOT NULL,
    author TEXT, author_email TEXT, source_commit TEXT, note TEXT NOT NULL, status TEXT NOT NULL,
    created_at {bigint} NOT NULL, decided_by TEXT, decided_at {bigint},
    UNIQUE (runbook_id, number)
);

CREATE TABLE access_policy (
    workspace_id {bigint} PRIMARY KEY REFERENCES workspace(id), digest TEXT NOT NULL, content TEXT NOT NULL,
    loaded_at {bigint} NOT NULL
);

CREATE TABLE sync_report (
    workspace_id {bigint} PRIMARY KEY REFERENCES workspace(id), at {bigint} NOT NULL, ok {bool} NOT NULL, summary TEXT NOT NULL
);

CREATE TABLE person (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), user_id TEXT NOT NULL, name TEXT NOT NULL,
    email TEXT, standing TEXT NOT NULL, tz TEXT, fetched_at {bigint} NOT NULL,
    UNIQUE (workspace_id, user_id)
);

CREATE TABLE user_group (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), group_id TEXT NOT NULL, handle TEXT NOT NULL,
    members TEXT NOT NULL, fetched_at {bigint} NOT NULL,
    UNIQUE (workspace_id, group_id)
);

CREATE TABLE worker (
    id TEXT PRIMARY KEY, workspace_id {bigint} NOT NULL REFERENCES workspace(id), host TEXT NOT NULL, pid {bigint} NOT NULL,
    started_at {bigint} NOT NULL, lease_until {bigint} NOT NULL, ended_at {bigint}
);
CREATE INDEX worker_lease ON worker (lease_until) WHERE ended_at IS NULL;

CREATE TABLE execution (
    id TEXT PRIMARY KEY, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    runbook_id {bigint} NOT NULL REFERENCES runbook(id), version_id {bigint} NOT NULL REFERENCES runbook_version(id),
    slug TEXT NOT NULL, number {bigint} NOT NULL, digest TEXT NOT NULL, team TEXT,
    status TEXT NOT NULL, ending TEXT, parameters TEXT NOT NULL, "trigger" TEXT NOT NULL, requester TEXT NOT NULL,
    reason TEXT NOT NULL, incident TEXT NOT NULL, channel TEXT, result TEXT NOT NULL, error TEXT NOT NULL,
    created_at {bigint} NOT NULL, started_at {bigint}, ended_at {bigint},
    timeout_ms {bigint} NOT NULL, running_ms {bigint} NOT NULL, running_since {bigint}, deadline_at {bigint},
    max_concurrent {bigint} NOT NULL, live {bigint} NOT NULL, running {bigint} NOT NULL, parked {bigint} NOT NULL,
    unfinished {bigint} NOT NULL, event_seq {bigint} NOT NULL, paused_reason TEXT
);
CREATE INDEX execution_recent ON execution (workspace_id, created_at);
CREATE INDEX execution_channel ON execution (workspace_id, channel, created_at);
CREATE INDEX execution_open ON execution (workspace_id, created_at) WHERE ended_at IS NULL;
CREATE INDEX execution_deadline ON execution (deadline_at) WHERE deadline_at IS NOT NULL;

CREATE TABLE step_run (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    execution_id TEXT NOT NULL REFERENCES execution(id), path TEXT NOT NULL, step_id TEXT NOT NULL, position {bigint} NOT NULL,
    kind TEXT NOT NULL, status TEXT NOT NULL, fence {bigint} NOT NULL, blocked {bigint} NOT NULL, poisoned {bool} NOT NULL,
    due_at {bigint}, deadline_at {bigint}, attempts {bigint} NOT NULL, failures {bigint} NOT NULL, recoveries {bigint} NOT NULL,
    idempotent {bool} NOT NULL, worker_id TEXT, started_at {bigint}, ended_at {bigint},
    outputs TEXT NOT NULL, error TEXT NOT NULL, note TEXT NOT NULL,
    UNIQUE (execution_id, path)
);
CREATE INDEX step_run_due ON step_run (due_at) WHERE status = 'READY';
CREATE INDEX step_run_ready ON step_run (execution_id, due_at) WHERE status = 'READY';
CREATE INDEX step_run_held ON step_run (worker_id) WHERE status = 'RUNNING';

CREATE TABLE attempt (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    step_run_id {bigint} NOT NULL REFERENCES step_run(id), number {bigint} NOT NULL, status TEXT NOT NULL,
    worker_id TEXT NOT NULL, started_at {bigint} NOT NULL, ended_at {bigint},
    request TEXT NOT NULL, response TEXT NOT NULL, error TEXT NOT NULL,
    UNIQUE (step_run_id, number)
);

CREATE TABLE approval (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    execution_id TEXT NOT NULL REFERENCES execution(id), step_run_id {bigint} NOT NULL REFERENCES step_run(id), path TEXT NOT NULL,
    status TEXT NOT NULL, min_approvals {bigint} NOT NULL, approvers TEXT NOT NULL, allow_self {bool} NOT NULL,
    message TEXT NOT NULL, preview TEXT NOT NULL, digest TEXT NOT NULL, on_timeout TEXT NOT NULL,
    opened_at {bigint} NOT NULL, expires_at {bigint} NOT NULL, decided_at {bigint}
);
CREATE INDEX approval_execution ON approval (execution_id);
CREATE INDEX approval_expiry ON approval (expires_at) WHERE status = 'PENDING';

CREATE TABLE vote (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    approval_id {bigint} NOT NULL REFERENCES approval(id), person TEXT NOT NULL, decision TEXT NOT NULL,
    comment TEXT NOT NULL, at {bigint} NOT NULL,
    UNIQUE (approval_id, person)
);

CREATE TABLE event (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    execution_id TEXT NOT NULL REFERENCES execution(id), seq {bigint} NOT NULL, at {bigint} NOT NULL, kind TEXT NOT NULL,
    path TEXT, actor TEXT, data TEXT NOT NULL,
    UNIQUE (execution_id, seq)
);

CREATE TABLE audit (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), at {bigint} NOT NULL, actor TEXT NOT NULL,
    action TEXT NOT NULL, thing TEXT NOT NULL, severity TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX audit_thing ON audit (workspace_id, thing, id);

CREATE TABLE card (
    execution_id TEXT PRIMARY KEY REFERENCES execution(id), workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    channel TEXT NOT NULL, ts TEXT, shown_seq {bigint} NOT NULL, told_seq {bigint} NOT NULL, shown_at {bigint} NOT NULL,
    settled {bool} NOT NULL, trouble TEXT NOT NULL
);
CREATE INDEX card_open ON card (shown_at) WHERE NOT settled;

CREATE TABLE post (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id),
    execution_id TEXT NOT NULL REFERENCES execution(id), key TEXT NOT NULL, channel TEXT NOT NULL, ts TEXT NOT NULL,
    settled {bool} NOT NULL,
    UNIQUE (execution_id, key)
);

CREATE TABLE lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until {bigint} NOT NULL);

CREATE TABLE request_seen (key TEXT PRIMARY KEY, at {bigint} NOT NULL);
CREATE INDEX request_seen_at ON request_seen (at);

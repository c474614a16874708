-- What may not begin for a while and what that has paused, requests that wait for its end, and break-glass.

CREATE TABLE freeze_set (
    id TEXT PRIMARY KEY, workspace_id {bigint} NOT NULL REFERENCES workspace(id), scope TEXT NOT NULL,
    reason TEXT NOT NULL, hold_running {bool} NOT NULL, until {bigint} NOT NULL, created_at {bigint} NOT NULL,
    created_by TEXT NOT NULL, ended_at {bigint}, ended_by TEXT
);
CREATE INDEX freeze_set_open ON freeze_set (workspace_id, until) WHERE ended_at IS NULL;

CREATE TABLE frozen_run (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), freeze_id TEXT NOT NULL,
    execution_id TEXT NOT NULL, at {bigint} NOT NULL, UNIQUE (freeze_id, execution_id)
);

CREATE TABLE freeze_calendar (
    workspace_id {bigint} PRIMARY KEY REFERENCES workspace(id), digest TEXT NOT NULL, content TEXT NOT NULL
);

CREATE TABLE held_request (
    id TEXT PRIMARY KEY, workspace_id {bigint} NOT NULL REFERENCES workspace(id), slug TEXT NOT NULL,
    number {bigint} NOT NULL, digest TEXT NOT NULL, parameters TEXT NOT NULL, reason TEXT NOT NULL,
    incident TEXT NOT NULL, requester TEXT NOT NULL, chosen_by TEXT NOT NULL, created_at {bigint} NOT NULL, expires_at {bigint} NOT NULL,
    ended_at {bigint}, ended_by TEXT, execution_id TEXT
);
CREATE INDEX held_request_open ON held_request (workspace_id, expires_at) WHERE ended_at IS NULL;

CREATE TABLE break_glass (
    id TEXT PRIMARY KEY, workspace_id {bigint} NOT NULL REFERENCES workspace(id), slug TEXT NOT NULL,
    number {bigint} NOT NULL, digest TEXT NOT NULL, parameters TEXT NOT NULL, reason TEXT NOT NULL,
    incident TEXT NOT NULL, requester TEXT NOT NULL, chosen_by TEXT NOT NULL, overrides TEXT NOT NULL, created_at {bigint} NOT NULL,
    expires_at {bigint} NOT NULL, agreed_by TEXT, agreed_at {bigint}, execution_id TEXT UNIQUE,
    reviewed_by TEXT, reviewed_at {bigint}, note TEXT
);
CREATE INDEX break_glass_unreviewed ON break_glass (workspace_id, agreed_at) WHERE reviewed_at IS NULL;

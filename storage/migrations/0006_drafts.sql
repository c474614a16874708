CREATE TABLE form_draft (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), person TEXT NOT NULL, content TEXT NOT NULL,
    at {bigint} NOT NULL
);
CREATE INDEX form_draft_age ON form_draft (at);

-- What is to be told to people that is no part of a run.

CREATE TABLE notice (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), kind TEXT NOT NULL, content TEXT NOT NULL,
    at {bigint} NOT NULL
);
CREATE INDEX notice_age ON notice (at);

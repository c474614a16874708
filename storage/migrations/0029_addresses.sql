-- Every e-mail address that an account has had: whoever changes theirs does not become somebody else.

CREATE TABLE person_address (
    id {serial}, workspace_id {bigint} NOT NULL REFERENCES workspace(id), user_id TEXT NOT NULL, email TEXT NOT NULL,
    UNIQUE (workspace_id, user_id, email)
);
CREATE INDEX person_address_email ON person_address (workspace_id, lower(email));
INSERT INTO person_address (workspace_id, user_id, email)
    SELECT workspace_id, user_id, email FROM person WHERE email <> '';

-- Audit rows are keyed, and the database itself refuses to change or delete them: only sealing gives a row its place.

ALTER TABLE audit ADD COLUMN tag TEXT;
ALTER TABLE audit ADD COLUMN mac TEXT;
ALTER TABLE audit ADD COLUMN mac_key TEXT;

-- SQLite's REPLACE deletes without asking a trigger for DELETE, so whatever would be replaced is refused beforehand.

@sqlite
CREATE TRIGGER audit_added BEFORE INSERT ON audit
WHEN new.seq IS NOT NULL OR EXISTS (SELECT 1 FROM audit WHERE id = new.id)
BEGIN SELECT RAISE(ABORT, 'audit rows are only added, and get their place by sealing'); END
@end

@sqlite
CREATE TRIGGER audit_sealed BEFORE UPDATE ON audit
WHEN new.id IS NOT old.id OR new.workspace_id IS NOT old.workspace_id OR new.at IS NOT old.at
    OR new.actor IS NOT old.actor OR new.action IS NOT old.action OR new.thing IS NOT old.thing
    OR new.severity IS NOT old.severity OR new.detail IS NOT old.detail
    OR old.seq IS NOT NULL OR new.seq IS NULL OR new.hash IS NULL
    OR EXISTS (SELECT 1 FROM audit WHERE workspace_id = new.workspace_id AND seq = new.seq)
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END
@end

@sqlite
CREATE TRIGGER audit_kept BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted'); END
@end

@postgresql
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'audit rows are only added: they are never changed or deleted'; END $$
@end

@postgresql
CREATE TRIGGER audit_added BEFORE INSERT ON audit FOR EACH ROW
WHEN (new.seq IS NOT NULL) EXECUTE FUNCTION refuse_audit_change()
@end

@postgresql
CREATE TRIGGER audit_sealed BEFORE UPDATE ON audit FOR EACH ROW
WHEN (new.id IS DISTINCT FROM old.id OR new.workspace_id IS DISTINCT FROM old.workspace_id
    OR new.at IS DISTINCT FROM old.at OR new.actor IS DISTINCT FROM old.actor
    OR new.action IS DISTINCT FROM old.action OR new.thing IS DISTINCT FROM old.thing
    OR new.severity IS DISTINCT FROM old.severity OR new.detail IS DISTINCT FROM old.detail
    OR old.seq IS NOT NULL OR new.seq IS NULL OR new.hash IS NULL)
EXECUTE FUNCTION refuse_audit_change()
@end

@postgresql
CREATE TRIGGER audit_kept BEFORE DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
@end

-- What one worker does at a time of its own for all of them: when it was done last, and up to which row.

CREATE TABLE audit_job (
    name TEXT PRIMARY KEY NOT NULL, workspace_id {bigint} NOT NULL REFERENCES workspace(id), at {bigint} NOT NULL,
    seq {bigint} NOT NULL
);

CREATE INDEX audit_at ON audit (workspace_id, at);

-- Sealing gives an audit row the next number of the chain and no other, by which the row could be kept out of it.

@sqlite
CREATE TRIGGER audit_placed BEFORE UPDATE OF seq ON audit
WHEN new.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit WHERE workspace_id = new.workspace_id)
BEGIN SELECT RAISE(ABORT, 'audit rows are sealed one behind the other'); END
@end

@postgresql
CREATE FUNCTION refuse_audit_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.seq IS DISTINCT FROM (SELECT coalesce(max(seq), 0) + 1 FROM audit WHERE workspace_id = new.workspace_id) THEN
        RAISE EXCEPTION 'audit rows are sealed one behind the other';
    END IF;
    RETURN new;
END $$
@end

@postgresql
CREATE TRIGGER audit_placed BEFORE UPDATE OF seq ON audit FOR EACH ROW EXECUTE FUNCTION refuse_audit_place()
@end

ALTER TABLE approval ADD COLUMN remind_at {bigint};
CREATE INDEX approval_reminder ON approval (remind_at) WHERE status = 'PENDING' AND remind_at IS NOT NULL;

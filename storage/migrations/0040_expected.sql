-- After how much running time a run takes longer than expected, and since when it does.

ALTER TABLE execution ADD COLUMN expected_ms {bigint};
ALTER TABLE execution ADD COLUMN overran_at {bigint};
CREATE INDEX execution_expected ON execution (deadline_at)
    WHERE deadline_at IS NOT NULL AND expected_ms IS NOT NULL AND overran_at IS NULL;

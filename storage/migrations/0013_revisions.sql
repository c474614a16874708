-- How often the parameters of a run were changed: a changed call is another call to its target.

ALTER TABLE execution ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;

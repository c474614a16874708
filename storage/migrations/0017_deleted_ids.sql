-- A runbook that was deleted gives its id free: whoever uses it next begins a runbook of their own.

UPDATE runbook SET slug = slug || '#' || id WHERE deleted_at IS NOT NULL;

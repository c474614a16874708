-- To which hosts what a run received may be sent: its own list and those of all who hold the same. NULL is not known.

ALTER TABLE secret_output ADD COLUMN hosts TEXT;

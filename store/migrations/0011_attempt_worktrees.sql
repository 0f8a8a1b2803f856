-- The folder in which an attempt's agent session worked, by inode and time of birth: made anew it is another one, in which
-- nothing is that the session believes to have written.
ALTER TABLE attempts ADD COLUMN IF NOT EXISTS worktree text;

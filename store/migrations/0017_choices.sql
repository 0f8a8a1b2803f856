-- What ran, as the agent reported it: {"model", "mode", "thinking", "agent_version"}, each null where the agent does not say.
ALTER TABLE attempts ADD COLUMN ran jsonb;
-- Why the choices of a task were accepted without a check; NULL: they were checked, or there are none.
ALTER TABLE tasks ADD COLUMN IF NOT EXISTS choices_note text;

-- Until when a task waits for a provider's usage limit to be lifted, while its phase is waiting_limit.
ALTER TABLE tasks ADD COLUMN IF NOT EXISTS waits_until timestamptz;

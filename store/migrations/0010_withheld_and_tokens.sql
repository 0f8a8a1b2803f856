-- Sentences that steps leave for the finish step, by the step's name, where LONGHAUL_TEMPORAL_CONTENT keeps them out of
-- Temporal.
ALTER TABLE tasks ADD COLUMN IF NOT EXISTS withheld jsonb;

-- What an agent said of its tokens at the end of a turn. Some count them over their whole session: what the next turn
-- there says, less this, is the next turn's.
ALTER TABLE attempts ADD COLUMN IF NOT EXISTS tokens_reported bigint;

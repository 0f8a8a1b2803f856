-- What a person needs to answer an agent's request, and what was made of the answer. `state`: pending, answered, delivered,
-- expired, cancelled, superseded. The row is the authority: each transition is a compare-and-set.
ALTER TABLE permissions
  ADD COLUMN attempt        integer,
  -- SHA-256 over what was asked for: an answer serves an equal request only.
  ADD COLUMN request_hash   text,
  ADD COLUMN kind           text NOT NULL DEFAULT 'tool',
  ADD COLUMN title          text,
  ADD COLUMN message        text,
  ADD COLUMN answered_by    text,
  ADD COLUMN answered_at    timestamptz,
  ADD COLUMN delivered_at   timestamptz,
  ADD COLUMN expires_at     timestamptz,
  -- What is answered at `expires_at`.
  ADD COLUMN default_option text;
CREATE INDEX permissions_task ON permissions (task_id);
CREATE INDEX permissions_pending ON permissions (requested_at) WHERE state = 'pending';

-- Seconds that a request waits for a person; NULL: without limit. Then `permission_default` answers: allow or deny.
ALTER TABLE tasks
  ADD COLUMN IF NOT EXISTS permission_timeout_s integer,
  ADD COLUMN IF NOT EXISTS permission_default   text;

-- The queue of a session. `queue_held_since`: no waiting task of the session is claimed until the queue is released.
-- `queue_held_after`: the task whose failure or cancel held the queue; NULL: a request did.
-- `queue_on_failure`: 'hold' holds the queue when a task fails or is cancelled; any other value continues.
ALTER TABLE sessions
  ADD COLUMN IF NOT EXISTS queue_held_since timestamptz,
  ADD COLUMN IF NOT EXISTS queue_held_after uuid,
  ADD COLUMN IF NOT EXISTS queue_on_failure text;

-- The task that interrupted this one. Its cancel does not hold the queue.
ALTER TABLE tasks ADD COLUMN IF NOT EXISTS interrupted_by uuid;

-- A released queue is served at once, whichever program releases it.
CREATE FUNCTION longhaul_notify_queue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('longhaul_tasks', NEW.id::text);
  RETURN NULL;
END $$;

CREATE TRIGGER longhaul_queue_released AFTER UPDATE OF queue_held_since ON sessions FOR EACH ROW
  WHEN (OLD.queue_held_since IS NOT NULL AND NEW.queue_held_since IS NULL)
  EXECUTE FUNCTION longhaul_notify_queue();

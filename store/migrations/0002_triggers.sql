-- What holds for every writer, whoever it is: a final state stays, and whoever waits is told.

CREATE FUNCTION longhaul_guard_final_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'task % is %: a final state does not change (to %)', OLD.id, OLD.state, NEW.state
    USING ERRCODE = 'check_violation', CONSTRAINT = 'tasks_final_state';
END $$;

CREATE TRIGGER longhaul_final_state BEFORE UPDATE OF state ON tasks FOR EACH ROW
  WHEN (OLD.state IN ('completed', 'failed', 'cancelled') AND NEW.state IS DISTINCT FROM OLD.state)
  EXECUTE FUNCTION longhaul_guard_final_state();

-- A wake-up, never the data: the listener reads the table. It fires for a new row, for a row put back to
-- pending, for a wish to cancel, and for an end (the session's next task may start).
CREATE FUNCTION longhaul_notify_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('longhaul_tasks', NEW.id::text);
  RETURN NULL;
END $$;

CREATE TRIGGER longhaul_task_inserted AFTER INSERT ON tasks FOR EACH ROW
  WHEN (NEW.state = 'pending')
  EXECUTE FUNCTION longhaul_notify_task();

CREATE TRIGGER longhaul_task_changed AFTER UPDATE OF state, cancel_requested_at ON tasks FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.cancel_requested_at IS DISTINCT FROM NEW.cancel_requested_at)
  EXECUTE FUNCTION longhaul_notify_task();

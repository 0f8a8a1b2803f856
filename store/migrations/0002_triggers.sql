-- What holds for every writer, whoever it is: a final state stays, and whoever waits is told.

CREATE FUNCTION longhaul_guard_final_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'task % is %: a final state does not change (to %)', OLD.id, OLD.state, NEW.state
    USING ERRCODE = 'check_violation', CONSTRAINT = 'tasks_final_state';
END $$;

CREATE TRIGGER longhaul_final_state BEFORE UPDATE OF state ON tasks FOR EACH ROW
  WHEN (OLD.state IN ('completed', 'failed', 'cancelled') AND NEW.state IS DISTINCT FROM OLD.state)
  EXECUTE FUNCTION longhaul_guard_final_state();

-- Any program may insert a task; what it leaves out or spells out as NULL is given. States are checked where one is
-- written, not by a constraint: rows of an adopted table may keep, and be updated with, states of their own.
CREATE FUNCTION longhaul_check_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW.id := coalesce(NEW.id, gen_random_uuid());
    NEW.state := coalesce(NEW.state, 'pending');
    NEW.created_at := coalesce(NEW.created_at, now());
  ELSIF NEW.state IS NOT DISTINCT FROM OLD.state THEN
    RETURN NEW;
  END IF;
  IF NEW.state IS NULL OR NEW.state NOT IN ('pending', 'running', 'completed', 'failed', 'cancelled') THEN
    RAISE EXCEPTION 'task %: state is %, expected pending, running, completed, failed or cancelled',
      NEW.id, coalesce(NEW.state, 'NULL') USING ERRCODE = 'check_violation', CONSTRAINT = 'tasks_state_known';
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.state = 'running' AND NEW.state = 'pending' THEN
    RAISE EXCEPTION 'task % runs: it does not become pending again', NEW.id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'tasks_state_forward';
  END IF;
  -- The session's next task waits for the end of this one, whoever writes it.
  IF NEW.state IN ('completed', 'failed', 'cancelled') THEN
    NEW.ended_at := coalesce(NEW.ended_at, clock_timestamp());
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER longhaul_task_checked BEFORE INSERT OR UPDATE OF state ON tasks FOR EACH ROW
  EXECUTE FUNCTION longhaul_check_task();

-- A wake-up, never the data: the listener reads the table. It fires for a new row, for a wish to
-- cancel, and for an end (the session's next task may start).
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

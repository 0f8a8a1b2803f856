-- An answer wakes the run of a task that hibernates: intake reads the rows.
CREATE FUNCTION longhaul_notify_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('longhaul_tasks', NEW.task_id::text);
  RETURN NULL;
END $$;

CREATE TRIGGER longhaul_permission_answered AFTER UPDATE OF state ON permissions FOR EACH ROW
  WHEN (OLD.state = 'pending' AND NEW.state IN ('answered', 'expired'))
  EXECUTE FUNCTION longhaul_notify_answer();

CREATE INDEX permissions_undelivered ON permissions (task_id) WHERE state IN ('answered', 'expired') AND delivered_at IS NULL;

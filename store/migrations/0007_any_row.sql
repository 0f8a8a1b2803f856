-- Any program may write any row, an ORM also columns that it read a while ago. What would stop a session's log, or its
-- queue, is repaired as it is written.

-- Numbers of the log are given once: `seq` never falls, not below what the log has, and stays exact in JavaScript.
CREATE FUNCTION longhaul_keep_log() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  least_seq bigint;
BEGIN
  least_seq := CASE WHEN TG_OP = 'UPDATE' THEN OLD.seq
                    ELSE coalesce((SELECT max(f.seq) FROM frames f WHERE f.session_id = NEW.id), 0) END;
  IF NEW.seq IS NULL OR NEW.seq NOT BETWEEN least_seq AND 4503599627370496 THEN
    NEW.seq := least_seq;
  END IF;
  NEW.compacted_seq := least(greatest(coalesce(NEW.compacted_seq, 0), 0), NEW.seq);
  IF TG_OP = 'UPDATE' THEN
    NEW.compacted_seq := greatest(NEW.compacted_seq, OLD.compacted_seq);
    -- What the present writer counts; a new writer begins at 0.
    IF NEW.writer IS NOT DISTINCT FROM OLD.writer AND NEW.written < OLD.written THEN
      NEW.written := OLD.written;
    END IF;
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER longhaul_log_begun BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION longhaul_keep_log();

CREATE TRIGGER longhaul_log_kept BEFORE UPDATE OF seq, written, compacted_seq ON sessions FOR EACH ROW
  WHEN (NEW.seq IS NULL OR NEW.seq < OLD.seq OR NEW.seq > 4503599627370496 OR NEW.compacted_seq IS NULL
        OR NEW.compacted_seq < OLD.compacted_seq OR NEW.compacted_seq > NEW.seq
        OR (NEW.writer IS NOT DISTINCT FROM OLD.writer AND NEW.written < OLD.written))
  EXECUTE FUNCTION longhaul_keep_log();

UPDATE sessions s SET seq = greatest(s.seq, f.last)
  FROM (SELECT session_id, max(seq) AS last FROM frames GROUP BY session_id) f WHERE f.session_id = s.id AND s.seq < f.last;
UPDATE sessions SET compacted_seq = seq WHERE compacted_seq > seq;

-- `ended_at` says whether a claim still holds its session: exactly what has ended has it.
CREATE FUNCTION longhaul_keep_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.ended_at := CASE WHEN NEW.state IN ('completed', 'failed', 'cancelled') THEN clock_timestamp() END;
  RETURN NEW;
END $$;

CREATE TRIGGER longhaul_task_end BEFORE INSERT OR UPDATE OF state, ended_at, claimed_at ON tasks FOR EACH ROW
  WHEN ((NEW.state IN ('completed', 'failed', 'cancelled') AND NEW.ended_at IS NULL)
        OR (NEW.state IN ('pending', 'running') AND NEW.ended_at IS NOT NULL))
  EXECUTE FUNCTION longhaul_keep_end();

UPDATE tasks SET ended_at = clock_timestamp()
 WHERE claimed_at IS NOT NULL AND ended_at IS NULL AND (state IS NULL OR state NOT IN ('pending', 'running'));

-- Lists are read by time (store/pages.ts): an infinite one, or one that is far from ours, stands at a bound.
DO $$
DECLARE
  listed text;
BEGIN
  FOR listed IN
    SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.oid IN (to_regclass('tasks'), to_regclass('sessions'), to_regclass('projects'), to_regclass('pending_changes'))
       AND a.attname = 'created_at' AND a.atttypid = 'timestamptz'::regtype
  LOOP
    EXECUTE format('DROP INDEX IF EXISTS %I', listed || '_by_age');
    EXECUTE format('CREATE INDEX %I ON %I ((least(greatest(coalesce(created_at, ''epoch''::timestamptz), '
                   '''1700-01-01 00:00:00+00''::timestamptz), ''2250-01-01 00:00:00+00''::timestamptz)), id)', listed || '_by_age', listed);
  END LOOP;
END $$;

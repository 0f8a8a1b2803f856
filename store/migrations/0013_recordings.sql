-- What the terminals of a task showed: one compressed asciicast for each program that the terminal adapter ran, in order of `name`.
CREATE TABLE recordings (
  task_id    uuid        NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  name       text        NOT NULL,
  cast_gzip  bytea       NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (task_id, name)
);

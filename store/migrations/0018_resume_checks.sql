-- Whether an agent could load its session after its process was killed in mid-turn, as a check found it: once per agent version.
CREATE TABLE resume_checks (
  agent       text NOT NULL,
  -- As the agent reports it; empty if it reports none.
  version     text NOT NULL,
  begun_at    timestamptz NOT NULL DEFAULT now(),
  -- NULL: the check has not ended. `unknown`: it could not be made, for example because the agent's provider was unavailable.
  result      text CHECK (result IN ('yes', 'no', 'unknown')),
  -- The reason of `no` or `unknown`.
  reason      text,
  finished_at timestamptz,
  PRIMARY KEY (agent, version)
);

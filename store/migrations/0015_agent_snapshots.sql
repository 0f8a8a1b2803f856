-- What each agent offers, as the newest probe found it: for one project's folder, or (project_id NULL) for a scratch folder.
CREATE TABLE agent_snapshots (
  id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  agent        text NOT NULL,
  project_id   uuid,
  -- When the newest probe was asked for; NULL: it could not be started.
  requested_at timestamptz,
  -- Probes are numbered in the order in which they begin. `stored` is the one that the columns below are from.
  begun        bigint NOT NULL DEFAULT 0,
  stored       bigint NOT NULL DEFAULT 0,
  finished_at  timestamptz,
  status       text,
  install_hint text,
  error_code   text,
  error        text,
  auth         text,
  report       jsonb,
  -- Of the newest probe that succeeded, and when.
  offer        jsonb,
  fetched_at   timestamptz,
  UNIQUE NULLS NOT DISTINCT (agent, project_id)
);

-- Agents that a person has disabled: no new task may name them.
CREATE TABLE disabled_agents (
  name        text PRIMARY KEY,
  disabled_at timestamptz NOT NULL DEFAULT now()
);

-- Agents that a person took off the list: a starting worker does not list them again.
CREATE TABLE unlisted_agents (
  name        text PRIMARY KEY,
  unlisted_at timestamptz NOT NULL DEFAULT now()
);

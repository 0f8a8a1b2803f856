-- A question of an agent that is no permission (kind = elicitation): a form or an address; and the answer to a form.
ALTER TABLE permissions
  ADD COLUMN elicitation jsonb,
  ADD COLUMN content     jsonb;

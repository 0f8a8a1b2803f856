-- The newest commands and usage of a session, of which there may be few among very many frames.
CREATE INDEX frames_latest ON frames (session_id, type, seq DESC) WHERE type IN ('agent_commands', 'usage');

-- Compaction deletes most of what is inserted: its room is to be used again soon, not when a fifth of the table is dead.
ALTER TABLE frames SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
                        toast.autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_threshold = 5000);

#!/bin/bash
# The Postgres image runs this script once, on an empty data folder. It creates a role with its databases for
# Longhaul and one for Temporal.
set -eu
psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" \
  --set longhaul_password="$LONGHAUL_DB_PASSWORD" --set temporal_password="$TEMPORAL_DB_PASSWORD" <<'SQL'
CREATE ROLE longhaul LOGIN PASSWORD :'longhaul_password';
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE DATABASE longhaul OWNER longhaul;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
SQL

#!/bin/sh
# Applies the migrations that the database does not have yet, in order, each as one transaction.
set -eu
PGPASSWORD=$(cat /run/secrets/db_password)
export PGPASSWORD
psql="psql --no-psqlrc --quiet --set ON_ERROR_STOP=1"

$psql --command 'CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())'
for file in /migrations/*.sql; do
    name=$(basename "$file" .sql)
    if [ -n "$($psql --tuples-only --command "SELECT 1 FROM migrations WHERE name = '$name'")" ]; then
        echo "$name: already applied"
        continue
    fi
    $psql --single-transaction --file "$file" --command "INSERT INTO migrations (name) VALUES ('$name')"
    echo "$name: applied"
done

-- +goose Up

-- Agents whose identity is ended, whatever certificates they hold. Collectors read
-- what is new by its id.
CREATE TABLE revocations (
    id     INTEGER PRIMARY KEY,
    agent  TEXT NOT NULL UNIQUE,
    reason TEXT NOT NULL, -- '' by a person, 'clonado': two computers used it
    at     INTEGER NOT NULL
);
INSERT INTO revocations (agent, reason, at)
    SELECT agent, '', max(revoked_at) FROM certificates GROUP BY agent HAVING min(revoked_at) <> 0;

-- The agents that a cloned one became: one for each key that asked.
CREATE TABLE heirs (
    agent    TEXT NOT NULL,    -- the cloned one
    key_hash BLOB NOT NULL,    -- SHA-256 of the public key
    heir     TEXT NOT NULL,
    PRIMARY KEY (agent, key_hash)
);

-- What an agent holds of what it is told beside its certificate, and the computers
-- and runs that its last beats came from, as JSON, the newest first.
ALTER TABLE agents ADD COLUMN terms     TEXT NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN sightings TEXT NOT NULL DEFAULT '{}';

-- +goose Up

-- Since when a device names documents past those held, 0 while it does not.
ALTER TABLE device_parts ADD COLUMN ahead_since INTEGER NOT NULL DEFAULT 0;

-- The state of an establishment, as the access keys of its documents begin; '' when
-- there is none.
ALTER TABLE establishments ADD COLUMN state TEXT NOT NULL DEFAULT '';
UPDATE establishments SET state = coalesce((SELECT substr(key, 1, 2) FROM documents WHERE issuer = establishments.cnpj
    AND best = 1 AND model IN (59, 65) AND invalid = 0 AND key <> '' ORDER BY issued DESC LIMIT 1), '');

-- Notes of a month, and of a series, that need a look: without an answer, and issued both
-- on-line and off-line.
ALTER TABLE number_months ADD COLUMN notes TEXT NOT NULL DEFAULT '{}'; -- JSON
ALTER TABLE number_lines  ADD COLUMN notes TEXT NOT NULL DEFAULT '{}'; -- JSON
UPDATE number_months SET dirty = dirty + 1 WHERE serial = '';

-- Events of notes: they show which numbers were used.
CREATE INDEX documents_events ON documents (issuer, series, number) WHERE best = 1 AND model = 65 AND kind = 'evento';

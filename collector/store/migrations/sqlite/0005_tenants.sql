-- +goose Up

-- Whose coupons (models 59 and 65, with a signature that is not wrong) each agent
-- brings; imports are those of agent ''. It is what a till is identified by, who sees
-- it beside its establishment, and where emitters that nobody registered wait.
CREATE TABLE emitters (
    agent    TEXT NOT NULL,
    cnpj     TEXT NOT NULL,
    name     TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    PRIMARY KEY (agent, cnpj)
) WITHOUT ROWID;
CREATE INDEX emitters_cnpj ON emitters (cnpj);
INSERT INTO emitters (agent, cnpj, name, first_at)
    SELECT s.agent, d.issuer, max(d.issuer_name), min(a.received_at)
    FROM arrivals a JOIN streams s ON s.id = a.stream_id JOIN documents d ON d.id = a.document_id
    WHERE a.document_id <> 0 AND d.invalid = 0 AND d.model IN (59, 65) AND length(d.issuer) = 14 GROUP BY s.agent, d.issuer;

-- Enrolment tokens have a number that they are named by, and may be ended.
CREATE TABLE tokens_numbered (
    id          INTEGER PRIMARY KEY,
    hash        BLOB NOT NULL UNIQUE,
    label       TEXT NOT NULL,
    reseller_id INTEGER NOT NULL DEFAULT 0,
    cnpj        TEXT NOT NULL DEFAULT '',
    allowed     INTEGER NOT NULL,
    used        INTEGER NOT NULL DEFAULT 0,
    expires_at  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL DEFAULT 0
);
INSERT INTO tokens_numbered (hash, label, reseller_id, cnpj, allowed, used, expires_at, created_at)
    SELECT hash, label, reseller_id, cnpj, allowed, used, expires_at, created_at FROM tokens ORDER BY created_at;
DROP TABLE tokens;
ALTER TABLE tokens_numbered RENAME TO tokens;
ALTER TABLE agents ADD COLUMN token_id INTEGER NOT NULL DEFAULT 0; -- that it enrolled with

-- What people look for clients by: names and town in plain small letters.
ALTER TABLE establishments ADD COLUMN city TEXT NOT NULL DEFAULT '';
ALTER TABLE establishments ADD COLUMN look TEXT NOT NULL DEFAULT '';
ALTER TABLE taxpayers      ADD COLUMN look TEXT NOT NULL DEFAULT '';
UPDATE establishments SET look = lower(name);
UPDATE taxpayers SET look = lower(name);
CREATE INDEX taxpayers_name ON taxpayers (reseller_id, name, root);

-- A line of the audit may lose an address that is being erased, for the pseudonym
-- that stands beside it here within one transaction, and nothing else. It is taken
-- away no sooner than after five years.
CREATE TABLE erasing (
    address TEXT PRIMARY KEY,
    name    TEXT NOT NULL
);
DROP TRIGGER audit_stays;
DROP TRIGGER audit_kept;
-- +goose StatementBegin
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit WHEN NOT EXISTS (SELECT 1 FROM erasing e
    WHERE new.id = old.id AND new.at = old.at AND new.user_id = old.user_id AND new.reseller_id = old.reseller_id AND new.act = old.act
    AND (new.who = old.who OR old.who = e.address AND new.who = e.name) AND (new.object = old.object OR old.object = e.address AND new.object = e.name)
    AND (new.detail = old.detail OR old.detail = e.address AND new.detail = e.name))
BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_kept BEFORE DELETE ON audit WHEN old.at > (CAST(strftime('%s', 'now') AS INTEGER) - 157784760) * 1000
BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
-- +goose StatementEnd
CREATE INDEX agents_token ON agents (token_id) WHERE token_id <> 0;

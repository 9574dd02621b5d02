-- +goose Up

-- Who has whom: a reseller its taxpayers, a taxpayer its establishments. Documents
-- belong to the establishment of their issuer, tills and devices to the one in
-- their column cnpj; while that is '', to the reseller in reseller_id, 0 being none.
CREATE TABLE resellers (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
);
INSERT INTO resellers (name, created_at) VALUES ('padrão', 0);

CREATE TABLE taxpayers (
    root        TEXT PRIMARY KEY, -- first 8 characters of its CNPJ
    name        TEXT NOT NULL,
    reseller_id INTEGER NOT NULL,
    created_at  INTEGER NOT NULL
);
CREATE INDEX taxpayers_reseller ON taxpayers (reseller_id);

CREATE TABLE establishments (
    cnpj TEXT PRIMARY KEY,
    root TEXT NOT NULL,
    name TEXT NOT NULL,
    plan TEXT NOT NULL DEFAULT 'LITE'
);
CREATE INDEX establishments_root ON establishments (root);

ALTER TABLE agents  ADD COLUMN reseller_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agents  ADD COLUMN cnpj        TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN reseller_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN cnpj        TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens  ADD COLUMN reseller_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tokens  ADD COLUMN cnpj        TEXT NOT NULL DEFAULT '';
CREATE INDEX agents_cnpj  ON agents (cnpj);
CREATE INDEX devices_cnpj ON devices (cnpj);

ALTER TABLE users ADD COLUMN role         TEXT NOT NULL DEFAULT 'plataforma';
ALTER TABLE users ADD COLUMN reseller_id  INTEGER NOT NULL DEFAULT 0; -- that looks after the person
ALTER TABLE users ADD COLUMN password     TEXT NOT NULL DEFAULT '';   -- argon2id in PHC form
ALTER TABLE users ADD COLUMN totp         TEXT NOT NULL DEFAULT '';   -- base 32
ALTER TABLE users ADD COLUMN totp_step    INTEGER NOT NULL DEFAULT 0; -- of the last code taken
ALTER TABLE users ADD COLUMN failed       INTEGER NOT NULL DEFAULT 0; -- sign-ins in a row
ALTER TABLE users ADD COLUMN locked_until INTEGER NOT NULL DEFAULT 0;

-- Which taxpayers a person sees beside those of a reseller of theirs.
CREATE TABLE grants (
    id       INTEGER PRIMARY KEY,
    user_id  INTEGER NOT NULL,
    root     TEXT NOT NULL,
    given_at INTEGER NOT NULL,
    given_by TEXT NOT NULL,
    taken_at INTEGER NOT NULL DEFAULT 0,
    taken_by TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX grants_open ON grants (user_id, root) WHERE taken_at = 0;
CREATE INDEX grants_root ON grants (root);

CREATE TABLE api_tokens (
    id         INTEGER PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    user_id    INTEGER NOT NULL,
    label      TEXT NOT NULL,
    root       TEXT NOT NULL, -- only this taxpayer; '' does not narrow
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL DEFAULT 0
);

ALTER TABLE audit ADD COLUMN user_id     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN reseller_id INTEGER NOT NULL DEFAULT 0;

-- What was there belongs to the first reseller.
INSERT INTO taxpayers (root, name, reseller_id, created_at)
    SELECT substr(issuer, 1, 8), max(issuer_name), 1, min(received_at) FROM documents
    WHERE length(issuer) = 14 GROUP BY substr(issuer, 1, 8);
INSERT INTO establishments (cnpj, root, name)
    SELECT issuer, substr(issuer, 1, 8), max(issuer_name) FROM documents WHERE length(issuer) = 14 GROUP BY issuer;
UPDATE tokens SET reseller_id = 1;
UPDATE agents SET reseller_id = 1;
UPDATE devices SET reseller_id = 1, cnpj = CASE WHEN length(issuer) = 14 THEN issuer ELSE '' END;
UPDATE agents SET cnpj = coalesce((SELECT max(d.cnpj) FROM devices d WHERE d.agent = agents.id AND d.cnpj <> ''), '');

-- Lines of the audit are neither changed nor taken away.
-- +goose StatementBegin
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_kept BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
-- +goose StatementEnd

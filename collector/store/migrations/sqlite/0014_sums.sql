-- +goose Up

-- What is told without counting documents, kept in the transaction that shows one: what
-- each issuer has here, what was sold per day, and which sales were cancelled, also of
-- those that are not here.
CREATE TABLE archived (
    issuer    TEXT PRIMARY KEY,
    documents INTEGER NOT NULL, -- shown
    versions  INTEGER NOT NULL  -- kept
) WITHOUT ROWID;

CREATE TABLE cancelled (
    key    TEXT    NOT NULL, -- of the sale
    issuer TEXT    NOT NULL,
    times  INTEGER NOT NULL, -- documents shown that cancel it
    PRIMARY KEY (key, issuer)
) WITHOUT ROWID;

CREATE TABLE sales_days (
    issuer          TEXT    NOT NULL,
    day             INTEGER NOT NULL, -- its midnight in Brasília
    serial          TEXT    NOT NULL, -- '' without a device
    sold            INTEGER NOT NULL, -- also what was cancelled since
    cents           INTEGER NOT NULL,
    cancelled       INTEGER NOT NULL,
    cancelled_cents INTEGER NOT NULL,
    PRIMARY KEY (issuer, day, serial)
) WITHOUT ROWID;
CREATE INDEX sales_days_serial ON sales_days (serial, day) WHERE serial <> '';

-- What was there is counted once.
INSERT INTO archived (issuer, documents, versions) SELECT issuer, sum(best), count(*) FROM documents GROUP BY issuer;
INSERT INTO cancelled (key, issuer, times) SELECT cancels, issuer, count(*) FROM documents WHERE best = 1 AND cancels <> '' GROUP BY cancels, issuer;
INSERT INTO sales_days (issuer, day, serial, sold, cents, cancelled, cancelled_cents)
    SELECT issuer, day, serial, count(*), sum(cents), sum(gone), sum(gone * cents) FROM (
        SELECT d.issuer, d.serial, (d.issued - 10800000) / 86400000 * 86400000 + 10800000 AS day,
            CASE WHEN d.total GLOB '[0-9]*' AND d.total NOT GLOB '*[^0-9.]*' AND length(d.total) < 16 THEN CAST(round(100 * CAST(d.total AS REAL)) AS INTEGER) ELSE 0 END AS cents,
            CASE WHEN c.key IS NULL THEN 0 ELSE 1 END AS gone
        FROM documents d LEFT JOIN cancelled c ON c.key = d.key AND c.issuer = d.issuer
        WHERE d.best = 1 AND d.part = '' AND d.test = 0 AND d.kind NOT IN ('cancelamento', 'inutilizacao')) AS sales
    GROUP BY issuer, day, serial;

-- +goose Up

-- What people did with an alarm, and the cause that explains it, 0 being none.
ALTER TABLE alarms ADD COLUMN reseller_id    INTEGER NOT NULL DEFAULT 0; -- of what is about a reseller
ALTER TABLE alarms ADD COLUMN cause_id       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarms ADD COLUMN level          INTEGER NOT NULL DEFAULT 0; -- of escalation
ALTER TABLE alarms ADD COLUMN taken_at       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarms ADD COLUMN taken_by       TEXT    NOT NULL DEFAULT '';
ALTER TABLE alarms ADD COLUMN silenced_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarms ADD COLUMN resolved_at    INTEGER NOT NULL DEFAULT 0;
-- Open alarms are found by alarms_open alone.
DROP INDEX alarms_cleared;
CREATE INDEX alarms_ended ON alarms (cleared_at) WHERE cleared_at > 0;
CREATE INDEX alarms_cause ON alarms (cause_id) WHERE cause_id <> 0;
ALTER TABLE alarm_changes ADD COLUMN who TEXT NOT NULL DEFAULT ''; -- '' by itself

-- What tenants set of rules, calendar and escalation. kind says whose owner it is:
-- a reseller's number, a taxpayer's root, an establishment's CNPJ.
CREATE TABLE policies (
    kind   TEXT NOT NULL,
    owner  TEXT NOT NULL,
    body   TEXT NOT NULL, -- JSON
    set_at INTEGER NOT NULL,
    set_by TEXT NOT NULL,
    PRIMARY KEY (kind, owner)
) WITHOUT ROWID;

-- Where devices stand in their life; the last line of each counts.
CREATE TABLE stages (
    id     INTEGER PRIMARY KEY,
    serial TEXT NOT NULL,
    stage  TEXT NOT NULL,
    at     INTEGER NOT NULL,
    who    TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE INDEX stages_serial ON stages (serial, id);

-- Parts of a device as its status tells of them, with since when.
CREATE TABLE device_parts (
    serial        TEXT PRIMARY KEY,
    battery       INTEGER NOT NULL DEFAULT 0,
    battery_since INTEGER NOT NULL DEFAULT 0,
    no_network    INTEGER NOT NULL DEFAULT 0 -- since when its network is not connected
) WITHOUT ROWID;

CREATE TABLE device_days (
    serial       TEXT NOT NULL,
    day          INTEGER NOT NULL, -- its midnight in Brasília
    memory       REAL    NOT NULL DEFAULT -1, -- last of the day
    outside      INTEGER NOT NULL DEFAULT 0,  -- documents issued past the agent
    outside_last INTEGER NOT NULL DEFAULT 0,
    outside_key  TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (serial, day)
) WITHOUT ROWID;

-- When a device will block itself, as its last judgement says.
CREATE TABLE forecasts (
    serial TEXT PRIMARY KEY,
    at     INTEGER NOT NULL,
    cause  TEXT NOT NULL,
    risk   INTEGER NOT NULL -- cents
) WITHOUT ROWID;

-- Numbers held of one line and month: of a device's taxpayer, or of a series of
-- NFC-e, whose serial is ''. What changed is read again when its turn comes.
CREATE TABLE number_months (
    serial  TEXT NOT NULL,
    issuer  TEXT NOT NULL,
    series  TEXT NOT NULL,
    month   TEXT NOT NULL, -- AAAAMM
    dirty   INTEGER NOT NULL, -- counts what came since it was read
    read_at INTEGER NOT NULL DEFAULT 0,
    held    TEXT NOT NULL DEFAULT '[]', -- JSON
    cents   INTEGER NOT NULL DEFAULT 0,
    days    INTEGER NOT NULL DEFAULT 0, -- on which it sold
    doubled INTEGER NOT NULL DEFAULT 0,
    doubled_first INTEGER NOT NULL DEFAULT 0, -- a doubled number
    PRIMARY KEY (serial, issuer, series, month)
) WITHOUT ROWID;
CREATE INDEX number_months_dirty ON number_months (read_at) WHERE dirty > 0;

CREATE TABLE number_lines (
    serial        TEXT NOT NULL,
    issuer        TEXT NOT NULL,
    series        TEXT NOT NULL,
    missing       INTEGER NOT NULL,
    missing_since INTEGER NOT NULL, -- when some were first found missing; says nothing while none is
    missing_near  INTEGER NOT NULL, -- issue of the document above the last gap
    doubled       INTEGER NOT NULL,
    doubled_since INTEGER NOT NULL,
    doubled_first INTEGER NOT NULL, -- a doubled number
    gaps          TEXT NOT NULL,    -- JSON, the newest first
    daily         INTEGER NOT NULL, -- cents on a day of selling
    PRIMARY KEY (serial, issuer, series)
) WITHOUT ROWID;
CREATE INDEX number_lines_issuer ON number_lines (issuer);

-- The last that agents told of their computers and tills, one row per thing.
CREATE TABLE inventory (
    agent     TEXT NOT NULL,
    what      TEXT NOT NULL,
    key       TEXT NOT NULL,
    stream_id INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    at        INTEGER NOT NULL, -- our clock
    gone      INTEGER NOT NULL,
    body      TEXT NOT NULL,    -- JSON
    PRIMARY KEY (agent, what, key)
) WITHOUT ROWID;
CREATE INDEX inventory_key ON inventory (what, key);

CREATE TABLE till_days (
    agent    TEXT NOT NULL,
    till     TEXT NOT NULL,
    day      INTEGER NOT NULL, -- its midnight in Brasília
    sold     INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    code     TEXT NOT NULL,    -- of most refusals
    p95      INTEGER NOT NULL, -- milliseconds
    PRIMARY KEY (agent, till, day)
) WITHOUT ROWID;

-- Versions of agents (model '') and of the basic software of models of devices.
CREATE TABLE versions (
    model    TEXT NOT NULL,
    version  TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    PRIMARY KEY (model, version)
) WITHOUT ROWID;
CREATE INDEX agents_software  ON agents (software);
CREATE INDEX devices_software ON devices (name, software);

-- Notes that have no protocol yet: few, and looked at often.
CREATE INDEX documents_unsettled ON documents (issuer) WHERE best = 1 AND kind = 'nota-pendente';

-- What was there is read once.
INSERT INTO number_months (serial, issuer, series, month, dirty)
    SELECT DISTINCT serial, issuer, '', month, 1 FROM documents WHERE best = 1 AND serial <> '' AND part = '';
INSERT INTO number_months (serial, issuer, series, month, dirty)
    SELECT DISTINCT '', issuer, series, month, 1 FROM documents WHERE best = 1 AND model = 65 AND kind <> 'evento';
INSERT INTO versions (model, version, first_at) SELECT '', software, min(first_seen) FROM agents WHERE software <> '' GROUP BY software;
INSERT INTO versions (model, version, first_at)
    SELECT name, software, min(first_seen) FROM devices WHERE name <> '' AND software <> '' GROUP BY name, software;

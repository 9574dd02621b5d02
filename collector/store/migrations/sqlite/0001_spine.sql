-- Times are Unix milliseconds, 0 where not known. Booleans are 0 or 1. Keys,
-- CNPJ and consumers are text. Hashes are the 32 bytes of a SHA-256.

-- +goose Up

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE agents (
    id         TEXT PRIMARY KEY,
    host       TEXT NOT NULL DEFAULT '',
    system     TEXT NOT NULL DEFAULT '',
    software   TEXT NOT NULL DEFAULT '',
    first_seen INTEGER NOT NULL,
    heard_at   INTEGER NOT NULL DEFAULT 0,
    beat_at    INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER NOT NULL DEFAULT 0,
    clock_off  INTEGER NOT NULL DEFAULT 0, -- agent's clock minus ours, ms, at the last beat
    waiting    INTEGER NOT NULL DEFAULT 0,
    oldest_at  INTEGER NOT NULL DEFAULT 0,
    used       INTEGER NOT NULL DEFAULT 0,
    bound      INTEGER NOT NULL DEFAULT 0
);

-- One stream of one creation of an agent's buffer. Ids grow in the order in
-- which they were first seen. Imports have a stream without agent.
CREATE TABLE streams (
    id             INTEGER PRIMARY KEY,
    agent          TEXT NOT NULL,
    epoch          TEXT NOT NULL,
    stream         TEXT NOT NULL,
    first_seen     INTEGER NOT NULL,
    collisions     INTEGER NOT NULL DEFAULT 0, -- records that came again with another hash
    first_collided INTEGER NOT NULL DEFAULT 0,
    last_collided  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (agent, epoch, stream)
);

-- Every record received of the streams that are acknowledged one by one, but for
-- status replies, of which only the last counts.
CREATE TABLE arrivals (
    id          INTEGER PRIMARY KEY,
    stream_id   INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    sha256      BLOB NOT NULL,
    document_id INTEGER NOT NULL DEFAULT 0,
    till        TEXT NOT NULL DEFAULT '',
    file        TEXT NOT NULL DEFAULT '', -- name of an imported file
    agent_at    INTEGER NOT NULL DEFAULT 0,
    received_at INTEGER NOT NULL,
    rivals      INTEGER NOT NULL, -- other records that held its place when it came
    UNIQUE (stream_id, seq, sha256)
);
CREATE INDEX arrivals_document ON arrivals (document_id) WHERE document_id <> 0;

-- One row per version of a document; best marks the one that is shown. part is
-- empty for a document and its hash for an event or a void range, which share
-- the key of the document they act on, or have none.
CREATE TABLE documents (
    id          INTEGER PRIMARY KEY,
    key         TEXT NOT NULL,
    part        TEXT NOT NULL,
    sha256      BLOB NOT NULL,
    best        INTEGER NOT NULL,
    rank        INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    cancels     TEXT NOT NULL,
    layout      TEXT NOT NULL,
    model       INTEGER NOT NULL,
    environment INTEGER NOT NULL,
    test        INTEGER NOT NULL,
    issued      INTEGER NOT NULL,
    zone        INTEGER NOT NULL, -- minutes east of UTC in which it was issued
    month       TEXT NOT NULL,    -- AAAAMM of the local date of issue
    issuer      TEXT NOT NULL,
    issuer_name TEXT NOT NULL,
    serial      TEXT NOT NULL,
    series      TEXT NOT NULL,
    number      INTEGER NOT NULL,
    till        TEXT NOT NULL,
    consumer    TEXT NOT NULL,
    total       TEXT NOT NULL,
    verdict     TEXT NOT NULL,
    reason      TEXT NOT NULL,
    checks      TEXT NOT NULL,    -- JSON list of {name, verdict, reason}
    forbidden   INTEGER NOT NULL, -- production, dated after emission was prohibited
    invalid     INTEGER NOT NULL, -- signature wrong or missing
    received_at INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    body        BLOB NOT NULL,    -- exact bytes, zstd
    UNIQUE (key, part, sha256)
);
-- What is shown is found and counted by these alone.
CREATE INDEX documents_issued    ON documents (issued) WHERE best = 1;
CREATE INDEX documents_issuer    ON documents (issuer, issued) WHERE best = 1;
CREATE INDEX documents_serial    ON documents (serial, issued) WHERE best = 1 AND serial <> '';
CREATE INDEX documents_consumer  ON documents (consumer, issued) WHERE best = 1 AND consumer <> '';
CREATE INDEX documents_cancels   ON documents (cancels) WHERE best = 1 AND cancels <> '';
CREATE INDEX documents_forbidden ON documents (serial) WHERE best = 1 AND forbidden = 1;
CREATE INDEX documents_invalid   ON documents (serial) WHERE best = 1 AND invalid = 1;
CREATE INDEX documents_other     ON documents (key) WHERE best = 0;

CREATE TABLE devices (
    serial        TEXT PRIMARY KEY,
    agent         TEXT NOT NULL DEFAULT '', -- the agent that last reported it; '' when known from imports alone
    name          TEXT NOT NULL DEFAULT '',
    issuer        TEXT NOT NULL DEFAULT '',
    issuer_name   TEXT NOT NULL DEFAULT '',
    first_seen    INTEGER NOT NULL,
    silent_since  INTEGER NOT NULL DEFAULT 0,
    open_cases    INTEGER NOT NULL DEFAULT 0,
    documents     INTEGER NOT NULL DEFAULT 0,
    last_issued   INTEGER NOT NULL DEFAULT 0,
    status_stream INTEGER NOT NULL DEFAULT 0,
    status_seq    INTEGER NOT NULL DEFAULT 0,
    status_sha256 BLOB,
    status_at     INTEGER NOT NULL DEFAULT 0,
    status_reply  BLOB,
    block         INTEGER NOT NULL DEFAULT 0,
    block_since   INTEGER NOT NULL DEFAULT 0,
    state         TEXT NOT NULL DEFAULT '',
    memory        REAL NOT NULL DEFAULT -1,
    software      TEXT NOT NULL DEFAULT '',
    layout        TEXT NOT NULL DEFAULT '',
    network       TEXT NOT NULL DEFAULT '',
    last_key      TEXT NOT NULL DEFAULT '',
    pending_first TEXT NOT NULL DEFAULT '',
    pending_last  TEXT NOT NULL DEFAULT '',
    pending_since INTEGER NOT NULL DEFAULT 0, -- first status that told of pending documents
    last_sent     INTEGER NOT NULL DEFAULT 0,
    last_contact  INTEGER NOT NULL DEFAULT 0,
    cert_issued   INTEGER NOT NULL DEFAULT 0,
    cert_expires  INTEGER NOT NULL DEFAULT 0,
    clock_off     INTEGER NOT NULL DEFAULT 0, -- device's clock minus ours, ms
    clock_known   INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX devices_agent ON devices (agent);

CREATE TABLE events (
    id          INTEGER PRIMARY KEY,
    stream_id   INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    agent       TEXT NOT NULL,
    serial      TEXT NOT NULL,
    till        TEXT NOT NULL,
    code        TEXT NOT NULL,
    ref         TEXT NOT NULL, -- what it is about: a document's key, a case
    detail      TEXT NOT NULL, -- JSON object of texts
    at          INTEGER NOT NULL,
    received_at INTEGER NOT NULL
);
CREATE INDEX events_agent  ON events (agent, code, ref);
CREATE INDEX events_serial ON events (serial, code) WHERE serial <> '';

CREATE TABLE quarantine (
    id          INTEGER PRIMARY KEY,
    agent       TEXT NOT NULL, -- '' for an import
    stream      TEXT NOT NULL,
    file        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    sha256      BLOB NOT NULL,
    size        INTEGER NOT NULL,
    body        BLOB NOT NULL, -- exact bytes, zstd
    times       INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    last_at     INTEGER NOT NULL,
    settled_at  INTEGER NOT NULL DEFAULT 0,
    settled_by  TEXT NOT NULL DEFAULT '',
    UNIQUE (agent, sha256)
);
CREATE INDEX quarantine_open ON quarantine (agent) WHERE settled_at = 0;

CREATE TABLE marks (
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (kind, subject)
);

CREATE TABLE alarms (
    id         INTEGER PRIMARY KEY,
    code       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    subject    TEXT NOT NULL,
    severity   INTEGER NOT NULL,
    step       INTEGER NOT NULL,
    detail     TEXT NOT NULL,
    behind     TEXT NOT NULL,
    since      INTEGER NOT NULL,
    opened_at  INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    cleared_at INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX alarms_open ON alarms (kind, subject, code) WHERE cleared_at = 0;
CREATE INDEX alarms_cleared ON alarms (cleared_at);

CREATE TABLE alarm_changes (
    id       INTEGER PRIMARY KEY,
    alarm_id INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    what     TEXT NOT NULL,
    severity INTEGER NOT NULL,
    step     INTEGER NOT NULL,
    detail   TEXT NOT NULL
);
CREATE INDEX alarm_changes_alarm ON alarm_changes (alarm_id);

CREATE TABLE tokens (
    hash       BLOB PRIMARY KEY,
    label      TEXT NOT NULL,
    allowed    INTEGER NOT NULL,
    used       INTEGER NOT NULL DEFAULT 0,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE certificates (
    serial     TEXT PRIMARY KEY,
    agent      TEXT NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX certificates_agent ON certificates (agent);

CREATE TABLE users (
    id         INTEGER PRIMARY KEY,
    email      TEXT NOT NULL UNIQUE, -- lower case
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE links (
    hash       BLOB PRIMARY KEY,
    user_id    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY,
    user_id    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);

CREATE TABLE audit (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    who    TEXT NOT NULL,
    act    TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL
);

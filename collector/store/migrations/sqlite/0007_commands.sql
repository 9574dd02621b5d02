-- +goose Up

-- What a command's secrets are sealed with, so that its agent alone reads them, and
-- the buffer in which the agent keeps its journal of commands: as its last beat said.
ALTER TABLE agents ADD COLUMN seal_key BLOB;
ALTER TABLE agents ADD COLUMN epoch    TEXT NOT NULL DEFAULT '';

-- One order is what one person asked for at once: of one till, or of a selection in
-- two waves. Its commands carry it out.
CREATE TABLE orders (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,    -- of the command, in the table of the wire
    args        TEXT NOT NULL,    -- JSON object of texts, without secrets
    who         TEXT NOT NULL,
    user_id     INTEGER NOT NULL,
    reseller_id INTEGER NOT NULL, -- of the person, 0 being the platform
    created_at  INTEGER NOT NULL,
    not_before  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    hours       TEXT NOT NULL,    -- JSON of when it may begin
    first       INTEGER NOT NULL, -- commands of the first wave; 0 when there is one wave
    need        INTEGER NOT NULL, -- percent of a wave that must succeed
    stopped_at  INTEGER NOT NULL DEFAULT 0,
    stopped_by  TEXT NOT NULL DEFAULT ''
);
CREATE INDEX orders_waves ON orders (id) WHERE first > 0 AND stopped_at = 0;

CREATE TABLE commands (
    id         TEXT PRIMARY KEY, -- 32 hexadecimal digits; the agent does one id once
    order_id   INTEGER NOT NULL,
    agent      TEXT NOT NULL,
    serial     TEXT NOT NULL,    -- of the device; '' for the agent itself
    sequence   INTEGER NOT NULL, -- rises per agent
    wave       INTEGER NOT NULL,
    sealed     BLOB,             -- secrets, for the agent alone
    message    BLOB,             -- signed, as it goes to the agent each time; NULL before the first
    state      TEXT NOT NULL,
    number     INTEGER NOT NULL DEFAULT 0, -- of the report that state comes from; 0 while it is our own word
    text       TEXT NOT NULL DEFAULT '',   -- of that report
    reason     TEXT NOT NULL DEFAULT '',
    reply      TEXT NOT NULL DEFAULT '',   -- the device's return code
    result     TEXT NOT NULL DEFAULT '',   -- JSON: what was brought
    sent_at    INTEGER NOT NULL DEFAULT 0, -- last time
    sent       INTEGER NOT NULL DEFAULT 0, -- times
    heard_at   INTEGER NOT NULL DEFAULT 0, -- last report
    ended_at   INTEGER NOT NULL DEFAULT 0,
    UNIQUE (agent, sequence)
);
CREATE INDEX commands_order  ON commands (order_id);
CREATE INDEX commands_serial ON commands (serial) WHERE serial <> '';
CREATE INDEX commands_open   ON commands (agent) WHERE ended_at = 0;

-- What agents told of commands: the lines of their transcripts.
CREATE TABLE command_lines (
    command_id TEXT NOT NULL,
    number     INTEGER NOT NULL, -- of the report
    place      INTEGER NOT NULL, -- in it
    at         INTEGER NOT NULL, -- agent's clock
    text       TEXT NOT NULL,
    PRIMARY KEY (command_id, number, place)
);

-- Pieces of results, by the SHA-256 of the whole.
CREATE TABLE command_parts (
    command_id TEXT NOT NULL,
    whole      BLOB NOT NULL,
    place      INTEGER NOT NULL, -- from 0
    sha256     BLOB NOT NULL,
    body       BLOB NOT NULL,    -- exact bytes, zstd
    PRIMARY KEY (command_id, whole, place)
);

-- Lines of devices' logs, each once, however often the log was read.
CREATE TABLE device_logs (
    id          INTEGER PRIMARY KEY,
    serial      TEXT NOT NULL,
    at          INTEGER NOT NULL, -- device's clock
    digest      INTEGER NOT NULL, -- of the line, and which of equal ones of one second it is
    process     TEXT NOT NULL,
    level       TEXT NOT NULL,
    line        TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    UNIQUE (serial, at, digest)
);

-- +goose Up

-- What agents' batches of documents are packed with, archived before its first
-- use and never deleted. The number is what packed messages name it by: made of
-- the hash, and one of its agent's dictionaries alone has it.
CREATE TABLE dictionaries (
    id          INTEGER PRIMARY KEY,
    agent       TEXT NOT NULL,
    number      INTEGER NOT NULL,
    sha256      BLOB NOT NULL,
    size        INTEGER NOT NULL,
    body        BLOB NOT NULL, -- exact bytes, zstd
    received_at INTEGER NOT NULL,
    UNIQUE (agent, number)
);

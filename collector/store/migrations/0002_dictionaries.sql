-- +goose Up

-- What agents' batches of documents are packed with, archived before its first
-- use and never deleted. A name is the SHA-256 of the dictionary.
CREATE TABLE dictionaries (
    id          INTEGER PRIMARY KEY,
    agent       TEXT NOT NULL,
    name        BLOB NOT NULL,
    size        INTEGER NOT NULL,
    body        BLOB NOT NULL, -- exact bytes, zstd
    received_at INTEGER NOT NULL,
    UNIQUE (agent, name)
);

-- +goose Up

-- What devices said of themselves: a row per change and hour, the last of each hour
-- after some days, none after a month.
CREATE TABLE device_readings (
    serial        TEXT    NOT NULL,
    at            INTEGER NOT NULL, -- when it said so, to the minute
    block         INTEGER NOT NULL,
    pending       INTEGER NOT NULL, -- documents that wait for the tax office
    pending_since INTEGER NOT NULL,
    last_sent     INTEGER NOT NULL,
    last_contact  INTEGER NOT NULL,
    clock_off     INTEGER NOT NULL, -- device's clock minus ours, ms
    clock_known   INTEGER NOT NULL,
    PRIMARY KEY (serial, at)
) WITHOUT ROWID;

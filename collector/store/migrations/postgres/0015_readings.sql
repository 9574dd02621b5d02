-- +goose Up

-- What devices said of themselves: a row per change and hour, the last of each hour
-- after some days, none after a month.
CREATE TABLE device_readings (
    serial        TEXT COLLATE "C" NOT NULL,
    at            BIGINT NOT NULL, -- when it said so, to the minute
    block         BIGINT NOT NULL,
    pending       BIGINT NOT NULL, -- documents that wait for the tax office
    pending_since BIGINT NOT NULL,
    last_sent     BIGINT NOT NULL,
    last_contact  BIGINT NOT NULL,
    clock_off     BIGINT NOT NULL, -- device's clock minus ours, ms
    clock_known   BIGINT NOT NULL,
    PRIMARY KEY (serial, at)
);

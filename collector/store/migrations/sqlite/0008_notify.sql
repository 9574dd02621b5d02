-- +goose Up

-- Ways to reach somebody: of a person, or hooks of a reseller, whose user_id is 0. A
-- person's e-mail goes to the address of users.
CREATE TABLE channels (
    id              INTEGER PRIMARY KEY,
    kind            TEXT    NOT NULL, -- email, push, webhook, chat
    user_id         INTEGER NOT NULL DEFAULT 0,
    reseller_id     INTEGER NOT NULL DEFAULT 0,
    name            TEXT    NOT NULL DEFAULT '',
    target          TEXT    NOT NULL DEFAULT '', -- URL
    form            TEXT    NOT NULL DEFAULT '', -- keys of a push, template of a chat, salt of a webhook's secret
    muted           INTEGER NOT NULL DEFAULT 0,
    min_severity    INTEGER NOT NULL,
    quiet_from      INTEGER NOT NULL DEFAULT 0, -- minute of the day in Brasília
    quiet_to        INTEGER NOT NULL DEFAULT 0, -- the same: no quiet hours
    critical_passes INTEGER NOT NULL DEFAULT 1, -- through the quiet hours
    digest_hour     INTEGER NOT NULL DEFAULT -1, -- when what is below min_severity is told, -1 never
    created_at      INTEGER NOT NULL,
    failing_since   INTEGER NOT NULL DEFAULT 0,
    failures        INTEGER NOT NULL DEFAULT 0, -- in a row
    last_error      TEXT    NOT NULL DEFAULT '', -- pt-BR
    last_sent_at    INTEGER NOT NULL DEFAULT 0,
    dead_at         INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX channels_user     ON channels (user_id);
CREATE INDEX channels_reseller ON channels (reseller_id) WHERE user_id = 0;
CREATE UNIQUE INDEX channels_email ON channels (user_id) WHERE kind = 'email';
CREATE INDEX users_reseller    ON users (reseller_id);

-- What a channel was told of an alarm, and when it must be looked at next.
CREATE TABLE tellings (
    channel_id    INTEGER NOT NULL,
    alarm_id      INTEGER NOT NULL,
    at            INTEGER NOT NULL, -- when it first changed since it was told
    due_at        INTEGER NOT NULL, -- 0: nothing to tell
    told_at       INTEGER NOT NULL DEFAULT 0,
    told_open     INTEGER NOT NULL DEFAULT 0,
    told_severity INTEGER NOT NULL DEFAULT 0,
    told_step     INTEGER NOT NULL DEFAULT 0,
    told_level    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (channel_id, alarm_id)
) WITHOUT ROWID;
CREATE INDEX tellings_due   ON tellings (due_at, channel_id) WHERE due_at > 0;
CREATE INDEX tellings_alarm ON tellings (alarm_id);

-- Messages on their way, the oldest of a channel first.
CREATE TABLE messages (
    id         INTEGER PRIMARY KEY,
    uid        TEXT    NOT NULL UNIQUE, -- stays the same when it is sent again
    channel_id INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    body       TEXT    NOT NULL, -- JSON
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL, -- 0: it is over
    attempts   INTEGER NOT NULL DEFAULT 0,
    sent_at    INTEGER NOT NULL DEFAULT 0,
    error      TEXT    NOT NULL DEFAULT '' -- pt-BR
);
CREATE INDEX messages_open    ON messages (channel_id, id) WHERE due_at > 0;
CREATE INDEX messages_channel ON messages (channel_id, created_at);

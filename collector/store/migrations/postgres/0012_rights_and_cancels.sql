-- +goose Up

-- What a program may do beside reading, as words with blanks between them, and the day
-- on which it was used last.
ALTER TABLE api_tokens ADD COLUMN rights  TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE api_tokens ADD COLUMN used_at BIGINT NOT NULL DEFAULT 0;

-- With which of the person's programs it was done; '' is by the person.
ALTER TABLE audit ADD COLUMN token TEXT COLLATE "C" NOT NULL DEFAULT '';
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND EXISTS (SELECT 1 FROM erasing e
        WHERE new.id = old.id AND new.at = old.at AND new.user_id = old.user_id AND new.reseller_id = old.reseller_id AND new.act = old.act AND new.token = old.token
        AND (new.who = old.who OR old.who = e.address AND new.who = e.name) AND (new.object = old.object OR old.object = e.address AND new.object = e.name)
        AND (new.detail = old.detail OR old.detail = e.address AND new.detail = e.name)) THEN
        RETURN new;
    END IF;
    IF TG_OP = 'DELETE' AND old.at <= (extract(epoch FROM now())::bigint - 157784760) * 1000 THEN
        RETURN old;
    END IF;
    RAISE EXCEPTION 'the audit is only added to';
END $$;
-- +goose StatementEnd

-- That somebody took back a command that was sent, when, who or why in words, and when
-- its agent was told last.
ALTER TABLE commands ADD COLUMN cancel_at   BIGINT NOT NULL DEFAULT 0;
ALTER TABLE commands ADD COLUMN cancel_by   TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE commands ADD COLUMN cancel_sent BIGINT NOT NULL DEFAULT 0;

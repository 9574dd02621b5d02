-- +goose Up

-- How long sales of a till took on a day, milliseconds; 0 is not known.
ALTER TABLE till_days ADD COLUMN median  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE till_days ADD COLUMN longest INTEGER NOT NULL DEFAULT 0;

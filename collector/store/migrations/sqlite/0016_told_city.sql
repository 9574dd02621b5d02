-- +goose Up

-- The city of an establishment as its documents tell it, in one spelling; '' when none did.
ALTER TABLE establishments ADD COLUMN told_city TEXT NOT NULL DEFAULT '';

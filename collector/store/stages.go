package store

import (
	"errors"
	"time"

	"zelo/collector/alarm"
)

// StageOf is a step of a device's life, as a person set it.
type StageOf struct {
	Stage  alarm.Stage
	At     time.Time
	Who    string
	Reason string
}

func scanStage(s scanner, v *StageOf) error { return s.Scan(&v.Stage, at(&v.At), &v.Who, &v.Reason) }

// Stage is where a device stands; in use while nobody said otherwise.
func (r *Reader) Stage(serial string) (StageOf, error) {
	args := arguments{serial}
	v, err := one(r, scanStage, `SELECT stage, at, who, reason FROM stages WHERE serial = $1 AND `+r.ofDevices("serial", &args)+`
		ORDER BY id DESC LIMIT 1`, args...)
	if errors.Is(err, ErrNotFound) {
		return StageOf{Stage: alarm.InUse}, nil
	}
	return v, err
}

// Stages are the steps of a device's life, newest first.
func (r *Reader) Stages(serial string) ([]StageOf, error) {
	args := arguments{serial}
	return all(r, scanStage, `SELECT stage, at, who, reason FROM stages WHERE serial = $1 AND `+r.ofDevices("serial", &args)+` ORDER BY id DESC`, args...)
}

// SetStage notes a step and marks the device.
func (w *Writer) SetStage(serial string, s StageOf) error {
	err := w.exec(`INSERT INTO stages (serial, stage, at, who, reason) VALUES ($1, $2, $3, $4, $5)`, serial, s.Stage, ms(s.At), s.Who, s.Reason)
	if err != nil {
		return err
	}
	return w.Mark(alarm.Subject{Kind: alarm.OfDevice, ID: serial})
}

package store

import (
	"errors"
	"strconv"
	"time"

	"zelo/collector/alarm"
)

// Whose a policy may be.
const (
	policyReseller = "reseller"
	policyTaxpayer = "taxpayer"
	policyShop     = "establishment"
)

// PolicyOwner is whose a policy is: one of the three is set.
type PolicyOwner struct {
	Reseller int64
	Root     string
	CNPJ     string
}

func (o PolicyOwner) key() (kind, owner string) {
	switch {
	case o.CNPJ != "":
		return policyShop, o.CNPJ
	case o.Root != "":
		return policyTaxpayer, o.Root
	}
	return policyReseller, strconv.FormatInt(o.Reseller, 10)
}

// Policy is what an owner set by itself; zero when it set nothing. The owner is looked
// up in what the reader sees by the caller.
func (r *Reader) Policy(o PolicyOwner) (p alarm.Policy, err error) {
	kind, owner := o.key()
	err = r.get(into{fromJSON(&p)}, `SELECT body FROM policies WHERE kind = $1 AND owner = $2`, kind, owner)
	if errors.Is(err, ErrNotFound) {
		return p, nil
	}
	return p, err
}

// SetPolicy stores what an owner set. Open alarms follow with the next judgement.
func (w *Writer) SetPolicy(o PolicyOwner, p alarm.Policy, who string, now time.Time) error {
	body, err := asJSON(p)
	if err != nil {
		return err
	}
	kind, owner := o.key()
	return w.exec(`INSERT INTO policies (kind, owner, body, set_at, set_by) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, owner)
		DO UPDATE SET body = excluded.body, set_at = excluded.set_at, set_by = excluded.set_by`, kind, owner, body, ms(now), who)
}

// policyOf is what counts for a subject of an establishment: its own over the
// taxpayer's over the reseller's.
func (r *Reader) policyOf(cnpj string, reseller int64) (p alarm.Policy, err error) {
	list, err := all(r, func(s scanner, p *alarm.Policy) error { return s.Scan(fromJSON(p)) }, `SELECT body FROM policies
		WHERE kind = '`+policyShop+`' AND owner = $1 OR kind = '`+policyTaxpayer+`' AND owner = $2 OR kind = '`+policyReseller+`'
		AND owner = coalesce((SELECT CAST(reseller_id AS TEXT) FROM taxpayers WHERE root = $2), $3)
		ORDER BY CASE kind WHEN '`+policyShop+`' THEN 2 WHEN '`+policyTaxpayer+`' THEN 1 ELSE 0 END`, cnpj, RootOf(cnpj), strconv.FormatInt(reseller, 10))
	for _, narrower := range list {
		p = narrower.Over(p)
	}
	return p, err
}

// Forecast is when a device will block itself; zero when no block is in sight.
func (r *Reader) Forecast(serial string) (p alarm.Prediction, err error) {
	args := arguments{serial}
	err = r.get(into{at(&p.At), &p.Cause, &p.Risk}, `SELECT at, cause, risk FROM forecasts WHERE serial = $1 AND `+r.ofDevices("serial", &args), args...)
	if errors.Is(err, ErrNotFound) {
		return alarm.Prediction{}, nil
	}
	return p, err
}

// ForecastDiffers reports whether a forecast says something else than the stored one:
// another cause, another hour, or no block any more.
func (r *Reader) ForecastDiffers(serial string, p alarm.Prediction) (bool, error) {
	old, err := r.Forecast(serial)
	return old.Cause != p.Cause || old.At.Sub(p.At).Abs() >= time.Hour, err
}

// SetForecast stores a forecast; a zero one takes it away.
func (w *Writer) SetForecast(serial string, p alarm.Prediction) error {
	if p.At.IsZero() {
		return w.exec(`DELETE FROM forecasts WHERE serial = $1`, serial)
	}
	return w.exec(`INSERT INTO forecasts (serial, at, cause, risk) VALUES ($1, $2, $3, $4)
		ON CONFLICT (serial) DO UPDATE SET at = excluded.at, cause = excluded.cause, risk = excluded.risk`, serial, ms(p.At), p.Cause, p.Risk)
}

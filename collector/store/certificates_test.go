package store

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestRevocations(t *testing.T) { eachEngine(t, testRevocations) }

func testRevocations(t *testing.T, s *Store) {
	update(t, s, func(w *Writer) error {
		return errors.Join(w.AddAgent("agent001", "caixa-1", t0), w.AddAgent("agent002", "caixa-2", t0),
			w.RevokeAgent("agent001", Cloned, t0), w.RevokeAgent("agent002", ByPerson, t0.Add(time.Hour)),
			w.AddHeir("agent001", "agent003", []byte("key"), "caixa-1", t0))
	})
	update(t, s, func(w *Writer) error {
		for name, err := range map[string]error{"twice": w.RevokeAgent("agent002", ByPerson, t0), "cloned after all": w.RevokeAgent("agent002", Cloned, t0),
			"cloned twice": w.RevokeAgent("agent001", Cloned, t0)} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		return w.RevokeAgent("agent001", ByPerson, t0.Add(2*time.Hour))
	})
	view(t, s, func(r *Reader) error {
		all, err := r.Revocations(0)
		if err != nil || len(all) != 2 || all[0].Agent != "agent001" || all[0].Reason != ByPerson || !all[0].At.Equal(t0.Add(2*time.Hour)) {
			t.Errorf("%+v, %v", all, err)
		}
		if rest, err := r.Revocations(all[0].ID); err != nil || len(rest) != 1 || rest[0].Agent != "agent002" {
			t.Errorf("%+v, %v", rest, err)
		}
		heir, n, err := r.Heir("agent001", []byte("key"))
		if heir != "agent003" || n != 1 || err != nil {
			t.Errorf("%q, %d, %v", heir, n, err)
		}
		if heir, n, err = r.Heir("agent002", []byte("key")); heir != "" || n != 0 || err != nil {
			t.Errorf("%q, %d, %v", heir, n, err)
		}
		left, err := r.Holdings()
		if len(left) != 1 || left[0].Agent != "agent003" {
			t.Errorf("%+v", left)
		}
		return err
	})
}

// A beat from here and there; and no more certificates than are of use.
func TestSightings(t *testing.T) { eachEngine(t, testSightings) }

func testSightings(t *testing.T, s *Store) {
	for name, beats := range map[string][]struct {
		run  string
		came time.Duration
	}{
		"restarted often":                 {{"a", 0}, {"b", 1}, {"c", 2}, {"d", 3}, {"e", 4}, {"f", 5}},
		"one was late":                    {{"a", 0}, {"b", 1}, {"a", 2}, {"b", 3}, {"b", 4}, {"c", 5}},
		"told twice":                      {{"a", 0}, {"a", 0}, {"b", 1}, {"b", 1}, {"a", 2}, {"a", 2}, {"b", 3}},
		"some waited long at a collector": {{"a", 5}, {"b", 9}, {"a", 6}, {"b", 10}, {"a", 7}, {"b", 11}, {"a", 8}, {"b", 12}},
	} {
		for _, b := range beats {
			update(t, s, func(w *Writer) error {
				return w.SetBeat(Beat{Agent: Agent{ID: name, BeatAt: t0.Add(b.came * time.Minute)}, Run: b.run})
			})
		}
		view(t, s, func(r *Reader) error {
			if _, err := r.Revocation(name); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: taken for two: %v", name, err)
			}
			return nil
		})
	}
	for i, run := range []string{"a", "b", "a", "b", "a", "b"} {
		update(t, s, func(w *Writer) error {
			if _, err := w.Revocation("agent001"); !errors.Is(err, ErrNotFound) {
				t.Errorf("revoked before beat %d: %v", i, err)
			}
			return w.SetBeat(Beat{Agent: Agent{ID: "agent001", BeatAt: t0}, Run: run, Terms: fmt.Sprint("terms", i)})
		})
	}
	view(t, s, func(r *Reader) error {
		v, err := r.Revocation("agent001")
		if v.Reason != Cloned {
			t.Errorf("%+v", v)
		}
		return err
	})
	update(t, s, func(w *Writer) error {
		for i := range keptCertificates + 3 {
			if err := w.AddCertificate(Certificate{Serial: fmt.Sprintf("%02x", i), Agent: "agent001", IssuedAt: t0.Add(time.Duration(i) * time.Hour)}); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, s, func(r *Reader) error {
		list, err := r.Certificates("agent001")
		if len(list) != keptCertificates || list[0].Serial != fmt.Sprintf("%02x", keptCertificates+2) {
			t.Errorf("%+v", list)
		}
		return err
	})
}

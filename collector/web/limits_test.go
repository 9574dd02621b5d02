package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"zelo/collector/store"
)

// TestLimitsOfResellers: the platform says whose limits it sets.
func TestLimitsOfResellers(t *testing.T) {
	c := emptyCity(t)
	c.update(func(w *store.Writer) error {
		_, err := w.AddReseller("outra", now())
		return err
	})
	v := c.person(t)
	if r := v.post("/limites", url.Values{"revenda": {"2"}, "contingencia": {"48"}}); r.status != http.StatusSeeOther || r.header.Get("Location") != "/limites?de=&revenda=2" {
		t.Fatalf("%d %s %s", r.status, r.header.Get("Location"), r.body)
	}
	const set = `name="contingencia" value="48"`
	if r := v.get("/limites?revenda=2"); !strings.Contains(r.body, set) || !strings.Contains(r.body, `<option value="2" selected>outra</option>`) {
		t.Errorf("%s", r.body)
	}
	if r := v.get("/limites"); strings.Contains(r.body, set) || !strings.Contains(r.body, `<option value="1" selected>padrão</option>`) {
		t.Errorf("another's limits are shown: %s", r.body)
	}
	if r := v.get("/limites?revenda=99"); r.status != http.StatusNotFound {
		t.Errorf("a reseller that is none: %d", r.status)
	}
}

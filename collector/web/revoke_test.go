package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestRevoke: a till's page offers to end its identity, once, and says since when it
// is ended.
func TestRevoke(t *testing.T) {
	c := newCity(t)
	v := c.person(t)
	const button = "Revogar este computador"
	if a := v.get("/caixas/" + market); !strings.Contains(a.body, button) {
		t.Errorf("not offered: %s", a.body)
	}
	if a := v.post("/caixas/"+market+"/revogar", url.Values{}); a.status != http.StatusSeeOther {
		t.Errorf("revoked: %d", a.status)
	}
	if a := v.get("/caixas/" + market); strings.Contains(a.body, button) || !strings.Contains(a.body, "Identidade revogada em") {
		t.Errorf("after that: %s", a.body)
	}
	if a := v.post("/caixas/"+market+"/revogar", url.Values{}); a.status != http.StatusNotFound {
		t.Errorf("revoked twice: %d", a.status)
	}
}

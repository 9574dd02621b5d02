package web

import (
	"net/http"

	"zelo/collector/api"
)

// revoke ends the identity of a till's computer.
func (s *site) revoke(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	id := r.PathValue("id")
	if err := s.o.API.RevokeTill(r.Context(), c, id); err != nil {
		return err
	}
	http.Redirect(w, r, "/caixas/"+id, http.StatusSeeOther)
	return nil
}

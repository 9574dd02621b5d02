package web

import (
	"net/http"

	"zelo/collector/api"
)

// readAgain reads a quarantined record once more. The page shows whether it is still
// there.
func (s *site) readAgain(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	id, err := number(r, "id")
	if err == nil {
		_, err = s.o.API.ReadAgain(r.Context(), c, id)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/quarentena", http.StatusSeeOther)
	return nil
}

// readAllAgain reads all of them once more.
func (s *site) readAllAgain(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if _, err := s.o.API.ReadAllAgain(r.Context(), c); err != nil {
		return err
	}
	http.Redirect(w, r, "/quarentena", http.StatusSeeOther)
	return nil
}

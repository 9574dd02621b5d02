package web

import (
	"net/http"

	"zelo/collector/api"
)

// plans shows what each plan includes, and the platform's form that sets one.
func (s *site) plans(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	return s.renderPlans(w, r, c, http.StatusOK, told{})
}

// setPlan takes that form.
func (s *site) setPlan(w http.ResponseWriter, r *http.Request, c api.Caller) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	err := s.o.API.SetPlan(r.Context(), c, r.PostForm.Get("cnpj"), api.PlanName(r.PostForm.Get("plano")))
	if err == nil {
		http.Redirect(w, r, "/clientes", http.StatusSeeOther)
		return nil
	}
	t, status, err := settled(api.Invitation{}, err)
	if err != nil {
		return err
	}
	return s.renderPlans(w, r, c, status, t)
}

func (s *site) renderPlans(w http.ResponseWriter, r *http.Request, c api.Caller, status int, t told) error {
	list, err := s.o.API.Plans(r.Context(), c)
	if err != nil {
		return err
	}
	return s.render(w, c, status, "plans", settings, "Planos", map[string]any{"Told": t, "Plans": list, "Set": s.o.API.May(c, api.OpSetPlan),
		"CNPJ": r.FormValue("cnpj")})
}

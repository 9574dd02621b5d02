package api

import (
	"context"
	"slices"

	"zelo/collector/account"
	"zelo/collector/store"
)

// Plan is one of the plans with what it includes beside what everybody has.
type Plan struct {
	Name     store.Plan
	Features []account.Feature // by name
}

// Plans lists the plans, the free one first, as the one table of entitlements says.
func (a *API) Plans(_ context.Context, c Caller) ([]Plan, error) {
	if _, err := a.allow(c, OpPlans); err != nil {
		return nil, err
	}
	list := []Plan{{Name: store.PlanLite}, {Name: store.PlanPro}}
	for feature, plan := range account.Entitlements() {
		i := slices.IndexFunc(list, func(p Plan) bool { return p.Name == plan })
		list[i].Features = append(list[i].Features, feature)
	}
	for i := range list {
		slices.Sort(list[i].Features)
	}
	return list, nil
}

type plansAnswer struct {
	Plans []planAnswer `json:"plans"`
}

type planAnswer struct {
	Name     string   `json:"name" enum:"LITE,PRO"`
	Features []string `json:"features" doc:"O que inclui além do que todos têm."`
}

func sayPlans(list []Plan) plansAnswer {
	return plansAnswer{each(list, func(p Plan) planAnswer {
		return planAnswer{string(p.Name), each(p.Features, func(f account.Feature) string { return string(f) })}
	})}
}

// plans are the operations about plans.
func plans() []Operation {
	return []Operation{
		{OpPlans, "GET", "/plans", everyone(), "", nil, plansAnswer{},
			func(ctx context.Context, a *API, c Caller, _ Input) (any, error) {
				return says(sayPlans)(a.Plans(ctx, c))
			}},
		{OpSetPlan, "POST", "/establishments/{cnpj}/plan", platform(), "", par("cnpj", "establishment", "plan", "text"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.SetPlan(ctx, c, in.Values["cnpj"], store.Plan(in.Values["plan"]))
			}},
	}
}

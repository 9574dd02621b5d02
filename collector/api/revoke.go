package api

import (
	"context"

	"zelo/collector/enrol"
	"zelo/collector/store"
)

// OpRevokeTill ends the identity of a till's computer.
const OpRevokeTill Op = "tills.revoke"

func revocation() []Operation {
	return []Operation{
		{OpRevokeTill, "POST", "/tills/{till}/revoke", heads(), "", par("till", "till"), nil,
			func(ctx context.Context, a *API, c Caller, in Input) (any, error) {
				return nil, a.RevokeTill(ctx, c, in.Values["till"])
			}},
	}
}

// RevokeTill ends the identity of a till's computer: it is disconnected within
// seconds and does not come back before it is enrolled anew. What it holds stays with
// it until then. ErrNotFound: there is none, or a person has revoked it before.
func (a *API) RevokeTill(ctx context.Context, c Caller, till string) error {
	return a.update(ctx, c, OpRevokeTill, func(w *store.Writer, seen *store.Reader) error {
		if _, err := seen.Agent(till); err != nil {
			return err
		}
		if err := enrol.RevokeIn(w, till, a.o.Now()); err != nil {
			return err
		}
		return a.note(w, c, "revogação", "agente "+till, "")
	})
}

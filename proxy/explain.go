package proxy

import (
	"encoding/json"
	"net/http"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/scope"
)

// An answerer answers in the upstream's place.
type answerer func(p *Proxy, x *exchange, r *http.Request, req scope.Request) error

// explain shows a caller what is made of their query, and for whom.
func explain(p *Proxy, x *exchange, _ *http.Request, req scope.Request) error {
	type data struct {
		Query    string   `json:"query"`
		Enforced string   `json:"enforced"`
		Label    string   `json:"label"`
		Tenants  any      `json:"tenants"` // their names, or "all"
		Policies []string `json:"policies"`
		Selector string   `json:"selector"`
		Silences string   `json:"silences,omitempty"` // where there is an Alertmanager: read, or write
	}
	id := x.record.Identity()
	names, all := id.Labels.Tenants()
	tenants := any(names)
	if all {
		tenants = "all"
	}
	policies := id.Policies
	if policies == nil {
		policies = []string{}
	}
	query, _ := x.params.Lookup("query")
	enforced, _ := req.Param("query")
	body, err := json.Marshal(struct {
		Status string `json:"status"`
		Data   data   `json:"data"`
	}{"success", data{query, enforced, p.label, tenants, policies, x.enforcer.Everything(), p.alerting.Allows(id)}})
	if err != nil {
		return apierr.Internal(err)
	}
	x.Header().Set("Content-Type", "application/json")
	_, _ = x.Write(body) // the caller may be gone
	return nil
}

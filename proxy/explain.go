package proxy

import (
	"encoding/json"

	"github.com/promfence/promfence/auth"
)

// An answerer answers in the upstream's place.
type answerer func(p *Proxy, x *exchange, s scopedRequest) error

// Explain returns a query as the upstream would be sent it on behalf of the
// tenants. Its errors are those that a caller would read, except that there are
// no bounds on the query's size.
func Explain(label string, tenants auth.Tenants, query string) (string, error) {
	m, err := newTenantMatcher(label, tenants, Intersect)
	if err != nil {
		return "", err
	}
	const unbounded = 1 << 30
	return m.expression(query, &budget{limits: Limits{QueryBytes: unbounded, QueryDepth: 1000, QueryTerms: unbounded}})
}

// explain shows a caller what is made of their query, and for whom.
func explain(p *Proxy, x *exchange, s scopedRequest) error {
	type data struct {
		Query    string   `json:"query"`
		Enforced string   `json:"enforced"`
		Label    string   `json:"label"`
		Tenants  []string `json:"tenants"`
	}
	query, _ := x.params.lookup("query")
	enforced, _ := s.params.lookup("query")
	body, err := json.Marshal(struct {
		Status string `json:"status"`
		Data   data   `json:"data"`
	}{"success", data{query, enforced, p.label, x.identity.Tenants.Names()}})
	if err != nil {
		return internal(err)
	}
	x.Header().Set("Content-Type", "application/json")
	_, _ = x.Write(body) // the caller may be gone
	return nil
}

// Package clients_test holds promfence against the programs that people use: what
// each gets through promfence is what it gets from an upstream that holds this
// tenant's data alone.
package clients_test

import (
	"net/http"
	"testing"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/contract"
)

// A world has promfence in front of the crowd.
type world struct {
	*harness.World
	fence  string // its URL
	idp    *authtest.Issuer
	token  string       // acme's
	fenced *http.Client // shows the token
}

// No client can tell promfence from an upstream that holds acme's data alone.
func TestClientsCannotTell(t *testing.T) {
	w := &world{World: harness.NewWorld(t), idp: authtest.NewIssuer(t)}
	w.fence = contract.Promfence(t, w.idp, w.Crowd.URL)
	w.token = w.idp.Token(t, "acme", nil)
	w.fenced = &http.Client{Transport: bearer{w.token}}
	for name, test := range map[string]func(*testing.T, *world){
		"client_golang":                          clientGolangCannotTell,
		"client_golang reads refusals":           clientGolangReadsRefusals,
		"client_golang falls back to GET":        clientGolangFallsBackToGET,
		"Grafana":                                grafanaCannotTell,
		"Grafana's frontend, as described":       grafanasFrontendCannotTell,
		"Grafana shows a sentence for a refusal": grafanaShowsASentenceForARefusal,
		"Grafana shows why a panel is empty":     grafanaShowsWhyAPanelIsEmpty,
		"the editor's client":                    theEditorsClientCannotTell,
		"a Prometheus that federates":            aFederatingPrometheusCannotTell,
		"a Prometheus that reads":                aReadingPrometheusCannotTell,
		"promtool":                               promtoolCannotTell,
	} {
		t.Run(name, func(t *testing.T) { test(t, w) })
	}
}

// A bearer shows a token with every request.
type bearer struct{ token string }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}

package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy"
)

// decision asks the decision endpoint as a gateway does.
func (f *fence) decision(t *testing.T, method, target, body string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.Header = header
	w := recorder{httptest.NewRecorder()}
	f.Proxy.Decision().ServeHTTP(w, r)
	return w.Result()
}

func TestDecisionsNameTheTenantsOrRefuse(t *testing.T) {
	f := newFence(t, nil)
	bearer := func(tenant any) http.Header {
		return http.Header{"Authorization": {"Bearer " + f.Issuer.Token(t, tenant, nil)}}
	}
	with := func(h http.Header, name, value string) http.Header {
		h = h.Clone()
		h.Set(name, value)
		return h
	}
	json := with(bearer("acme"), "Content-Type", "application/json")
	for name, tt := range map[string]struct {
		method, target, body string
		header               http.Header
		status               int
		tenants              string
	}{
		"one tenant":                              {"GET", "/auth", "", bearer("acme"), 200, "acme"},
		"several tenants":                         {"GET", "/auth", "", bearer([]string{"globex", "acme"}), 200, "acme|globex"},
		"narrowed":                                {"GET", "/auth", "", with(bearer([]string{"globex", "acme"}), "X-Promfence-Tenant", "globex"), 200, "globex"},
		"the original path behind":                {"POST", "/auth/loki/api/v1/query", "", bearer("acme"), 200, "acme"},
		"any method":                              {"PROPFIND", "/auth", "", bearer("acme"), 200, "acme"},
		"the scope read":                          {"GET", "/auth?scope=read", "", bearer("acme"), 200, "acme"},
		"the scope write":                         {"GET", "/auth?scope=write", "", bearer("acme"), 403, ""},
		"both scopes":                             {"GET", "/auth?scope=read&scope=write", "", bearer("acme"), 403, ""},
		"an unknown scope":                        {"GET", "/auth?scope=", "", bearer("acme"), 403, ""},
		"a broken query":                          {"GET", "/auth?scope=%zz", "", bearer("acme"), 400, ""},
		"a gateway that asks for reading":         {"POST", "/auth", `{"path":"/x","method":"GET","requiredScope":"read"}`, json, 200, "acme"},
		"a gateway that names no scope":           {"POST", "/auth", `{"path":"/x","method":"GET"}`, json, 200, "acme"},
		"a gateway that asks for writing":         {"POST", "/auth", `{"path":"/x","method":"POST","requiredScope":"write"}`, json, 403, ""},
		"reading in the body, writing in the URL": {"POST", "/auth?scope=write", `{"requiredScope":"read"}`, json, 403, ""},
		"a body that is no JSON":                  {"POST", "/auth", `{`, json, 400, ""},
		"a body that is too long":                 {"POST", "/auth", `{"path":"` + strings.Repeat("x", 65<<10) + `"}`, json, 400, ""},
		"a caller's own body and query":           {"POST", "/auth/push?scope=write", `{"requiredScope":"write"}`, json, 200, "acme"},
		"no token":                                {"GET", "/auth", "", http.Header{}, 401, ""},
		"a token that is none":                    {"GET", "/auth", "", http.Header{"Authorization": {"Bearer x"}}, 401, ""},
		"no tenant":                               {"GET", "/auth", "", bearer(nil), 403, ""},
		"a tenant that would be two":              {"GET", "/auth", "", bearer("a|b"), 403, ""},
		"a tenant with a colon":                   {"GET", "/auth", "", bearer("a:b"), 403, ""},
		"a tenant with a comma":                   {"GET", "/auth", "", bearer("a,b"), 403, ""},
		"a tenant with a space":                   {"GET", "/auth", "", bearer("a b"), 403, ""},
		"a tenant that is a folder":               {"GET", "/auth", "", bearer(".."), 403, ""},
		"a tenant that is too long":               {"GET", "/auth", "", bearer(strings.Repeat("a", 151)), 403, ""},
		"another path":                            {"GET", "/authorize", "", bearer("acme"), 404, ""},
		"the query API":                           {"GET", "/api/v1/query?query=up", "", bearer("acme"), 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := f.decision(t, tt.method, tt.target, tt.body, tt.header)
			defer got.Body.Close()
			if got.StatusCode != tt.status || got.Header.Get("X-Scope-OrgID") != tt.tenants {
				t.Errorf("%d, tenants %q, want %d, %q", got.StatusCode, got.Header.Get("X-Scope-OrgID"), tt.status, tt.tenants)
			}
			if (got.StatusCode == 401) != strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%d with the challenge %q", got.StatusCode, got.Header.Get("WWW-Authenticate"))
			}
			if got.StatusCode != 200 && (got.Header.Get("X-Prom-Label-Policy") != "" || got.Header.Get("X-Promfence-Subject") != "") {
				t.Error("a refusal tells who it is about")
			}
		})
	}
	if asked := f.Asked(); len(asked) > 0 {
		t.Errorf("the upstream was asked %d times", len(asked))
	}
}

func TestDecisionsGiveEveryTenantAnEntryInTheLabelPolicy(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Auth, o.Audit = newPolicies(t), &journal{} })
	for name, tt := range map[string]struct {
		claims, tenants, policy string
		status                  int
		want                    map[string]string
	}{
		"two labels": {team, "", "", 200, map[string]string{
			"X-Scope-OrgID": "acme|globex", "X-Promfence-Policy": "team",
			"X-Prom-Label-Policy": "acme:%7Benv%21~%22prod%7C%22%7D,globex:%7Benv%21~%22prod%7C%22%7D",
		}},
		"two labels, narrowed": {team, "globex", "", 200, map[string]string{
			"X-Scope-OrgID": "globex", "X-Promfence-Policy": "team", "X-Prom-Label-Policy": "globex:%7Benv%21~%22prod%7C%22%7D",
		}},
		"all tenants":           {operator, "", "operators", 403, nil},
		"all tenants, narrowed": {operator, "acme", "operators", 200, map[string]string{"X-Scope-OrgID": "acme", "X-Promfence-Policy": "operators"}},
		"an unknown policy":     {team, "", "admins", 403, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Authorization": {tt.claims}}
			for name, value := range map[string]string{policy.TenantHeader: tt.tenants, policy.PolicyHeader: tt.policy} {
				if value != "" {
					h.Set(name, value)
				}
			}
			got := f.decision(t, "GET", "/auth", "", h)
			defer got.Body.Close()
			if got.StatusCode != tt.status {
				t.Fatalf("%d, want %d", got.StatusCode, tt.status)
			}
			for _, name := range []string{"X-Scope-OrgID", "X-Prom-Label-Policy", "X-Promfence-Policy"} {
				if strings.Join(got.Header.Values(name), "\n") != tt.want[name] {
					t.Errorf("%s: %q, want %q", name, got.Header.Values(name), tt.want[name])
				}
			}
		})
	}
}

// Only policies with the scope write let a writing request pass, and only where the
// gateway asks for it.
func TestDecisionsForWritingTakeAPolicyThatGivesIt(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Auth, o.Audit = newPolicies(t), &journal{} })
	const agent, both = `{"agent":["acme"]}`, `{"agent":["acme"],"tenants":["acme"]}`
	for name, tt := range map[string]struct {
		claims, chosen, target, body string
		status                       int
	}{
		"an agent writes":                         {agent, "", "/auth?scope=write", "", 200},
		"an agent reads":                          {agent, "", "/auth?scope=read", "", 200},
		"an agent writes, asked as JSON":          {agent, "", "/auth", `{"requiredScope":"write"}`, 200},
		"an agent does both":                      {agent, "", "/auth?scope=read", `{"requiredScope":"write"}`, 200},
		"an agent deletes":                        {agent, "", "/auth?scope=delete", "", 403},
		"an agent writes and deletes":             {agent, "", "/auth?scope=write&scope=delete", "", 403},
		"a team writes":                           {team, "", "/auth?scope=write", "", 403},
		"a team writes, asked as JSON":            {team, "", "/auth", `{"requiredScope":"write"}`, 403},
		"both, as the agent":                      {both, "agents", "/auth?scope=write", "", 200},
		"both, as the team":                       {both, "team", "/auth?scope=write", "", 403},
		"both together: one of them cannot write": {both, "", "/auth?scope=write", "", 403},
		"both together read":                      {both, "", "/auth", "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Authorization": {tt.claims}}
			if tt.chosen != "" {
				h.Set(policy.PolicyHeader, tt.chosen)
			}
			if tt.body != "" {
				h.Set("Content-Type", "application/json")
			}
			got := f.decision(t, "POST", tt.target, tt.body, h)
			defer got.Body.Close()
			if got.StatusCode != tt.status || (got.Header.Get("X-Scope-OrgID") != "") != (tt.status == 200) {
				t.Errorf("%d, tenants %q, want %d", got.StatusCode, got.Header.Get("X-Scope-OrgID"), tt.status)
			}
		})
	}
}

func TestDecisionsAreRecordedAndLimited(t *testing.T) {
	records := &journal{}
	f := newFence(t, func(o *proxy.Options) { o.Audit, o.Limits.RequestsPerSecond = records, 1 })
	h := http.Header{"Authorization": {"Bearer " + f.Issuer.Token(t, "acme", map[string]any{"sub": "jürgen %"})}}
	first, second := f.decision(t, "GET", "/auth", "", h), f.decision(t, "GET", "/auth", "", h)
	_, _ = first.Body.Close(), second.Body.Close()
	if got := first.Header.Get("X-Promfence-Subject"); first.StatusCode != 200 || got != "j%C3%BCrgen%20%25" {
		t.Errorf("%d, subject %q", first.StatusCode, got)
	}
	if second.StatusCode != 429 || second.Header.Get("Retry-After") == "" {
		t.Errorf("the second: %d, Retry-After %q", second.StatusCode, second.Header.Get("Retry-After"))
	}
	got := map[any]bool{}
	for _, line := range records.lines {
		got[line["decision"]] = (line["route"] == "/auth" || line["decision"] == "answered") && cmp.Equal(line["tenants"], []any{"acme"})
	}
	if want := map[any]bool{"allowed": true, "answered": true, "refused": true}; !cmp.Equal(got, want) {
		t.Errorf("the records are %v", records.lines)
	}
}

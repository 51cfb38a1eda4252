package isolation_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/access"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// frozen is an upstream that stands still: whatever it was asked before it answers as
// before.
func frozen(t *testing.T, live string) *upstream.Recorder {
	t.Helper()
	type answer struct {
		status int
		header http.Header
		body   []byte
	}
	var mu sync.Mutex
	known := map[string]answer{}
	return upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		key := r.Method + r.URL.String() + string(body)
		a, ok := known[key]
		if !ok {
			req, err := http.NewRequestWithContext(r.Context(), r.Method, live+r.URL.String(), bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header = r.Header.Clone()
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			read, _ := io.ReadAll(resp.Body)
			a = answer{resp.StatusCode, resp.Header, read}
			known[key] = a
		}
		maps.Copy(w.Header(), a.header)
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body)
	}))
}

// Whoever narrows what they may see gets what the bearer of a narrower token gets:
// the same status and the same bytes, from every endpoint, good request or bad.
func TestANarrowedViewIsThatOfANarrowerToken(t *testing.T) {
	missing := access.Cases[2]
	w := newPolicyWorld(t, missing.Labels(t))
	seen := frozen(t, w.Crowd.URL)
	both := append([]policy.Policy{{
		Name: "all-tiers", When: []policy.Condition{{Claim: "groups", AnyOf: []string{"all"}}}, Labels: []policy.Label{{Label: "tenant_id", Claim: "tenants"}},
	}}, missing.Policies...)
	withPolicies, without := policed(t, seen.URL, both), fence.Before(t, seen.URL)
	claims := func(groups, tenants any) map[string]any { return map[string]any{"groups": groups, "tenants": tenants} }
	ab := []string{"acme", "beta"}
	for name, tt := range map[string]struct {
		fence        *fence.Fence
		wide, narrow string
		header       map[string]string
	}{
		"to a tenant, without policies": {
			without, without.Token(t, ab), without.Token(t, "beta"), map[string]string{policy.TenantHeader: "beta"},
		},
		"to a tenant": {
			withPolicies, withPolicies.Issuer.Token(t, "", claims("a", ab)), withPolicies.Issuer.Token(t, "", claims("a", "acme")), map[string]string{policy.TenantHeader: "acme"},
		},
		"to a policy": {
			withPolicies, withPolicies.Issuer.Token(t, "", claims([]string{"a", "all"}, ab)), withPolicies.Issuer.Token(t, "", claims("a", ab)), map[string]string{policy.PolicyHeader: "a"},
		},
		"to both": {
			withPolicies, withPolicies.Issuer.Token(t, "", claims([]string{"a", "all"}, ab)), withPolicies.Issuer.Token(t, "", claims("all", "beta")),
			map[string]string{policy.PolicyHeader: "all-tiers", policy.TenantHeader: "beta"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			compared, differs := 0, 0
			for _, r := range narrowedRequests(t, w) {
				ask := func(token string, header map[string]string) harness.Reply {
					req, err := http.NewRequestWithContext(t.Context(), r.method, tt.fence.URL+r.path, bytes.NewReader(r.body))
					if err != nil {
						t.Fatal(err)
					}
					for name, value := range r.header {
						req.Header.Set(name, value)
					}
					for name, value := range header {
						req.Header.Set(name, value)
					}
					req.Header.Set("Authorization", "Bearer "+token)
					req.Header.Set("X-Request-Id", "the-same") // a part of every 5xx
					return harness.Do(t, req)
				}
				want, got, wide := ask(tt.narrow, nil), ask(tt.wide, tt.header), ask(tt.wide, nil)
				compared++
				if got.Status != want.Status || got.Body != want.Body {
					t.Errorf("%s %s\n got %d %s\nwant %d %s", r.method, r.path, got.Status, got.Body, want.Status, want.Body)
				}
				if wide.Body != got.Body {
					differs++
				}
			}
			if t.Logf("%d answers, %d of them with less than without the header", compared, differs); compared < 150 || differs < 20 {
				t.Errorf("want 150 and 20")
			}
		})
	}
}

type narrowedRequest struct {
	method, path string
	header       map[string]string
	body         []byte
}

// narrowedRequests are good and bad ones to every endpoint but explain, which says
// what was asked.
func narrowedRequests(t *testing.T, w *harness.World) (all []narrowedRequest) {
	t.Helper()
	bad := []url.Values{harness.Form("query", "up(", "match[]", "{", "limit", "x", "label", ""), harness.Form("query", "info(up)", "match[]", "{}"), {}}
	good := requests(w.Now)
	read, err := (&prompb.ReadRequest{Queries: []*prompb.Query{{
		EndTimestampMs: w.Now.UnixMilli(), Matchers: []*prompb.LabelMatcher{{Name: "job", Value: "shop"}},
	}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for method, path := range proxy.Endpoints() {
		switch b, rest := base(path); rest {
		case "/explain":
		case "/read":
			all = append(all, narrowedRequest{method, path, map[string]string{
				"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Read-Version": "0.1.0",
			}, snappy.Encode(nil, read)})
		default:
			for name, tries := range good {
				if b == "/api/v1/metrics" || rest != name && (rest != "/label/{name}/values" || filepath.Dir(filepath.Dir(name)) != "/label") {
					continue
				}
				for _, params := range append(slices.Clip(tries), bad...) {
					if method == http.MethodPost {
						all = append(all, narrowedRequest{method, b + name, form, []byte(params.Encode())})
					} else {
						all = append(all, narrowedRequest{method, b + name + "?" + params.Encode(), nil, nil})
					}
				}
			}
		}
	}
	return all
}

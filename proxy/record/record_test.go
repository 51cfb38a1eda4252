package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/record"
	"github.com/promfence/promfence/proxy/scope"
)

// caller is somebody who may see these tenants.
func caller(t *testing.T, names ...string) auth.Identity {
	t.Helper()
	l, err := policy.ForTenants("tenant_id", names...)
	if err != nil {
		t.Fatal(err)
	}
	return auth.Identity{Subject: "alice", Issuer: "idp", Labels: l}
}

// begin begins the record of a query by somebody who is proven.
func begin(t *testing.T, o record.Options, id auth.Identity, header http.Header) *record.Record {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/query?query=up", nil)
	maps.Copy(r.Header, header)
	r.RemoteAddr = "127.0.0.1:1"
	rec := record.New(o).Begin(r)
	rec.Decide()
	rec.Identify(id)
	rec.NameTenants()
	rec.Route("/api/v1/query", false)
	return rec
}

// line ends a request and returns its access line.
func line(t *testing.T, o record.Options, id auth.Identity, header http.Header, fill func(*record.Record)) map[string]any {
	t.Helper()
	var log bytes.Buffer
	o.Logger = zerolog.New(&log)
	rec := begin(t, o, id, header)
	if fill != nil {
		fill(rec)
	}
	rec.End(nil, 0)
	var members map[string]any
	if err := json.Unmarshal(log.Bytes(), &members); err != nil {
		t.Fatalf("%s: %v", log.String(), err)
	}
	return members
}

func TestTheClientIsTheLastThatNoTrustedProxyHas(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("127.0.0.0/8")}
	for name, tt := range map[string]struct {
		trusted []netip.Prefix
		lines   []string
		want    string
	}{
		"nobody is trusted":            {nil, []string{"192.0.2.7"}, "127.0.0.1"},
		"the peer is not trusted":      {trusted[:1], []string{"192.0.2.7"}, "127.0.0.1"},
		"nothing is said":              {trusted, nil, "127.0.0.1"},
		"one hop":                      {trusted, []string{"192.0.2.7"}, "192.0.2.7"},
		"the caller's own words":       {trusted, []string{"203.0.113.9, 192.0.2.7, 10.0.0.1"}, "192.0.2.7"},
		"on several lines":             {trusted, []string{"203.0.113.9", "192.0.2.7, 10.0.0.2", "10.0.0.1"}, "192.0.2.7"},
		"with ports":                   {trusted, []string{"192.0.2.7:1234, 10.0.0.1:80"}, "192.0.2.7"},
		"version 6":                    {trusted, []string{"2001:db9::7, [2001:db8::1]:80, [2001:db8::2]"}, "2001:db9::7"},
		"version 4 in 6":               {trusted, []string{"192.0.2.7, ::ffff:10.0.0.1"}, "192.0.2.7"},
		"all are trusted":              {trusted, []string{"10.0.0.2,10.0.0.1"}, "10.0.0.2"},
		"what is no address":           {trusted, []string{"192.0.2.7, unknown, 10.0.0.1"}, "10.0.0.1"},
		"an address with a line break": {trusted, []string{"192.0.2.7\tx"}, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			got := line(t, record.Options{TrustedProxies: tt.trusted}, caller(t, "acme"), http.Header{"X-Forwarded-For": tt.lines}, nil)
			if got["client"] != tt.want {
				t.Errorf("the client is %v, want %s", got["client"], tt.want)
			}
		})
	}
}

func TestOnlyHarmlessIDsOfCallersAreKept(t *testing.T) {
	long := strings.Repeat("1", 65)
	for name, tt := range map[string]struct {
		header http.Header
		want   map[string]any // of the fields dashboard, panel and rule, and req_id where it is the caller's
	}{
		"a panel":         {http.Header{"X-Dashboard-Uid": {"a-B_9"}, "X-Panel-Id": {"12"}}, map[string]any{"dashboard": "a-B_9", "panel": "12"}},
		"a rule":          {http.Header{"X-Rule-Uid": {"r1"}}, map[string]any{"rule": "r1"}},
		"an id":           {http.Header{"X-Request-Id": {"aZ-09_.x"}}, map[string]any{"req_id": "aZ-09_.x"}},
		"nothing":         {nil, map[string]any{}},
		"what is long":    {http.Header{"X-Panel-Id": {long}, "X-Request-Id": {long}}, map[string]any{}},
		"what is strange": {http.Header{"X-Dashboard-Uid": {`a"b`}, "X-Request-Id": {"a b"}}, map[string]any{}},
		"two":             {http.Header{"X-Rule-Uid": {"a", "b"}, "X-Request-Id": {"a", "b"}}, map[string]any{}},
	} {
		t.Run(name, func(t *testing.T) {
			all := line(t, record.Options{}, caller(t, "acme"), tt.header, nil)
			got := map[string]any{}
			for _, field := range []string{"dashboard", "panel", "rule", "req_id"} {
				if v, ok := all[field]; ok {
					got[field] = v
				}
			}
			if id, _ := got["req_id"].(string); tt.want["req_id"] == nil && len(id) == 16 {
				delete(got, "req_id") // promfence's own
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheLineSaysWhoseDataItIsAbout(t *testing.T) {
	team := caller(t, "acme", "globex")
	team.Policies = []string{"team"}
	narrowed := caller(t, "acme")
	narrowed.AllTenants, narrowed.Policies = true, []string{"operators"}
	for name, tt := range map[string]struct {
		id   auth.Identity
		want map[string]any
	}{
		"a tenant":           {caller(t, "acme"), map[string]any{"tenants": []any{"acme"}}},
		"a team":             {team, map[string]any{"tenants": []any{"acme", "globex"}, "policy": []any{"team"}}},
		"all tenants":        {everybody(t), map[string]any{"tenants": "all", "policy": []any{"operators"}}},
		"narrowed":           {narrowed, map[string]any{"tenants": []any{"acme"}, "narrowed_from": "all", "policy": []any{"operators"}}},
		"a tenant named all": {caller(t, "all"), map[string]any{"tenants": []any{"all"}}},
	} {
		t.Run(name, func(t *testing.T) {
			all := line(t, record.Options{}, tt.id, nil, nil)
			got := map[string]any{}
			for _, field := range []string{"tenants", "narrowed_from", "policy"} {
				if v, ok := all[field]; ok {
					got[field] = v
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// everybody is an operator who may see all tenants.
func everybody(t *testing.T) auth.Identity {
	t.Helper()
	d := authtest.Operator(t)
	return auth.Identity{Issuer: "idp", Labels: d.Labels, Policies: d.Policies, AllTenants: d.AllTenants}
}

func TestLongTextsAreClipped(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	got := line(t, record.Options{}, caller(t, "acme"), nil, func(r *record.Record) {
		r.Path("/" + long)
		r.Failed(apierr.Internal(errors.New(long)))
	})
	if path, text := got["path"].(string), got["error"].(string); len(path) > 64+len("…") || len(text) > 4096+len("…") {
		t.Errorf("%d bytes of a path and %d of an error", len(path), len(text))
	}
}

// A query's text stands in no line, but in the one about a slow query.
func TestQueriesAreHashed(t *testing.T) {
	got := line(t, record.Options{}, caller(t, "acme"), nil, func(r *record.Record) {
		r.Query(scope.Params{{Name: "query", Value: "secret"}, {Name: "time", Value: "secret"}})
	})
	const sum = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
	if text, err := json.Marshal(got); err != nil || got["query_sha256"] != sum || strings.Contains(string(text), "secret") {
		t.Errorf("%s: %v", text, err)
	}
}

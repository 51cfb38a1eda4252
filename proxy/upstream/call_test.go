package upstream_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/scope"
	"github.com/promfence/promfence/proxy/upstream"
)

// enforcerOf enforces a label policy that allows tenants.
func enforcerOf(t *testing.T, tenants ...string) *promql.Enforcer {
	t.Helper()
	l, err := policy.ForTenants("tenant_id", tenants...)
	if err != nil {
		t.Fatal(err)
	}
	e, err := new(promql.Enforcers).For(l)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// everything is a request for all that acme has.
func everything(t *testing.T, tenants ...string) scope.Request {
	t.Helper()
	req, err := scope.Selectors().Added().Narrow(scope.Input{Enforcer: enforcerOf(t, tenants...)})
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func clientOf(t *testing.T, rawURL string, o upstream.Options) *upstream.Client {
	t.Helper()
	var err error
	if o.URL, err = url.Parse(rawURL); err != nil {
		t.Fatal(err)
	}
	return upstream.New(o)
}

// A call is spelled afresh: of the caller's headers those pass that are on the list.
func TestACallIsSpelledAfresh(t *testing.T) {
	c := clientOf(t, "http://u:9090/a%2Fb/", upstream.Options{Header: http.Header{"Authorization": {"Basic x"}}, TenantHeader: "x-scope-orgid"})
	const form = "match%5B%5D=%7Btenant_id%3D~%22acme%7Cbeta%22%7D"
	call := upstream.Call{Request: everything(t, "acme", "beta"), Streams: true, Path: "/api/v1/label/a%2Fb/values", ID: []string{"id"}}
	call.Caller = http.Header{
		"Authorization": {"Bearer secret"}, "Cookie": {"secret"}, "X-Scope-Orgid": {"globex"}, "X-Forwarded-For": {"1.2.3.4"}, "Accept": {"a/b"},
		"Connection": {"close"}, "Host": {"h"}, "X-Request-Id": {"secret"}, "User-Agent": {"ua", "second"}, "Cache-Control": {strings.Repeat("x", 5000)},
		"Accept-Encoding": {"br, gzip;q=1"},
	}
	want := http.Header{
		"Authorization": {"Basic x"}, "X-Scope-Orgid": {"acme|beta"}, "User-Agent": {"ua"}, "X-Request-Id": {"id"}, "Accept-Encoding": {"gzip"},
	}
	for method, inBody := range map[string]bool{http.MethodGet: false, http.MethodPost: true} {
		call.Method = method
		r, err := c.Request(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		delete(r.Header, "Content-Type")
		if diff := cmp.Diff(want, r.Header); diff != "" {
			t.Errorf("%s: the headers (-want +got):\n%s", method, diff)
		}
		path, query := "http://u:9090/a%2Fb/api/v1/label/a%2Fb/values", "?"+form
		if inBody {
			body, err := io.ReadAll(r.Body)
			if query = ""; err != nil || string(body) != form || r.ContentLength != int64(len(form)) {
				t.Errorf("the body: %q %v", body, err)
			}
		}
		if r.URL.String() != path+query || r.Host != "u:9090" || r.Method != method {
			t.Errorf("%s %s %s", r.Method, r.Host, r.URL)
		}
	}
	call.Streams, call.Formats = false, true
	r, err := c.Request(t.Context(), call)
	if err != nil || r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("Accept") != "a/b" {
		t.Errorf("%v, %v", r.Header, err)
	}
}

func TestWhatNobodyNarrowedIsNotSent(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	c := clientOf(t, server.URL, upstream.Options{})
	named := clientOf(t, server.URL, upstream.Options{TenantHeader: "THANOS-TENANT"})
	unnarrowed, err := scope.LeaveToFilter(nil).Narrow(scope.Input{Enforcer: enforcerOf(t, "acme")})
	if err != nil {
		t.Fatal(err)
	}
	all, err := new(promql.Enforcers).For(authtest.Operator(t).Labels)
	if err != nil {
		t.Fatal(err)
	}
	allTenants, err := scope.Selectors().Added().Narrow(scope.Input{Enforcer: all})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		client *upstream.Client
		call   upstream.Call
		sent   bool
	}{
		"the zero request":                      {c, upstream.Call{}, false},
		"one for a filter, which streams":       {c, upstream.Call{Request: unnarrowed, Streams: true}, false},
		"one for a filter":                      {c, upstream.Call{Request: unnarrowed}, true},
		"one of a tenant":                       {named, upstream.Call{Request: everything(t, "acme"), Streams: true}, true},
		"all tenants, where they must be named": {named, upstream.Call{Request: allTenants, Streams: true}, false},
		"all tenants":                           {c, upstream.Call{Request: allTenants, Streams: true}, true},
	} {
		for way, send := range map[string]func() error{
			"Ask": func() error {
				resp, err := tt.client.Ask(t.Context(), tt.call)
				if err == nil {
					_ = resp.Body.Close()
				}
				return err
			},
			"Forward": func() error {
				to := &taker{ResponseRecorder: httptest.NewRecorder()}
				tt.client.Forward(t.Context(), tt.call, to)
				return to.failed
			},
		} {
			asked = 0
			if err := send(); (err == nil) != tt.sent || (asked == 1) != tt.sent {
				t.Errorf("%s, %s: %v, asked %d times", name, way, err, asked)
			}
		}
	}
}

// A taker takes every answer.
type taker struct {
	*httptest.ResponseRecorder
	failed error
}

func (*taker) Take(*http.Response) error { return nil }
func (t *taker) Fail(err error)          { t.failed = err }

// ReverseProxy adds nothing to what is sent, and passes on nothing of an answer that
// Take has not left in it.
func TestForwardAddsNothing(t *testing.T) {
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Trailer", "X-Late")
		w.Header().Set("X-Early", "1")
		_, _ = io.WriteString(w, "answer")
		w.Header().Set("X-Late", "1")
	}))
	defer server.Close()
	c := clientOf(t, server.URL, upstream.Options{})
	to := &cleaner{taker{ResponseRecorder: httptest.NewRecorder()}}
	c.Forward(t.Context(), upstream.Call{Request: everything(t, "acme"), Streams: true, Method: http.MethodGet, Path: "/p", ID: []string{"id"}}, to)
	if to.failed != nil || to.Body.String() != "answer" || len(to.Header()) > 0 || len(to.Result().Trailer) > 0 {
		t.Errorf("%v %q %v %v", to.failed, to.Body, to.Header(), to.Result().Trailer)
	}
	if diff := cmp.Diff(http.Header{"X-Request-Id": {"id"}, "Accept-Encoding": {"identity"}}, got.Header); diff != "" {
		t.Errorf("the upstream was sent (-want +got):\n%s", diff)
	}
}

// A cleaner takes the headers out of an answer, as a proxy does.
type cleaner struct{ taker }

func (*cleaner) Take(resp *http.Response) error {
	resp.Header = nil
	return nil
}

// An upstream that enforces label policies gets an entry for every tenant, and never
// the caller's own.
func TestACallSaysWhatOfTheTenantsDataMayBeSeen(t *testing.T) {
	on := clientOf(t, "http://u", upstream.Options{TenantHeader: "X-Scope-OrgID", LabelPolicy: true})
	off := clientOf(t, "http://u", upstream.Options{TenantHeader: "X-Scope-OrgID"})
	for name, tt := range map[string]struct {
		c       *upstream.Client
		tenants []string
		other   bool
		want    []string
		refused bool
	}{
		"one tenant":                        {on, []string{"acme"}, true, []string{"acme:%7Benv%21~%22prod%7C%22%7D"}, false},
		"two tenants":                       {on, []string{"acme", "globex"}, true, []string{"acme:%7Benv%21~%22prod%7C%22%7D,globex:%7Benv%21~%22prod%7C%22%7D"}, false},
		"the tenants alone":                 {on, []string{"acme", "globex"}, false, nil, false},
		"one that an entry would not match": {on, []string{"acme", "a:b"}, true, nil, true},
		"off":                               {off, []string{"acme"}, true, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			labels := []policy.Label{{Label: "tenant_id", Values: tt.tenants}}
			if tt.other {
				labels = append(labels, policy.Label{Label: "env", Except: []string{"prod"}})
			}
			rules, err := policy.New(policy.Options{TenantLabel: "tenant_id", MaxTenants: 20, Policies: []policy.Policy{{Name: "p", Labels: labels}}})
			if err != nil {
				t.Fatal(err)
			}
			d, err := rules.Decide(policy.Token{}, policy.Narrowing{})
			if err != nil {
				t.Fatal(err)
			}
			e, err := new(promql.Enforcers).For(d.Labels)
			if err != nil {
				t.Fatal(err)
			}
			req, err := scope.Selectors().Added().Narrow(scope.Input{Enforcer: e})
			if err != nil {
				t.Fatal(err)
			}
			call := upstream.Call{Request: req, Streams: true, Method: http.MethodGet, Path: "/", ID: []string{"id"}}
			call.Caller = http.Header{"X-Prom-Label-Policy": {"globex:{}"}}
			r, err := tt.c.Request(t.Context(), call)
			if (err != nil) != tt.refused {
				t.Fatalf("refused: %v", err)
			}
			if tt.refused {
				return
			}
			if diff := cmp.Diff(tt.want, r.Header["X-Prom-Label-Policy"]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A system call for the header and another one for the form would cost a tenth of the
// request.
func TestASmallRequestIsOneWrite(t *testing.T) {
	w := newWire(t, false, func(net.Conn, int, int) bool { return false })
	c := w.client(t, nil)
	for name, call := range map[string]upstream.Call{
		"a form":  {Method: http.MethodPost, Path: "/api/v1/query"},
		"no body": {Method: http.MethodGet, Path: "/api/v1/query"},
	} {
		call.Request = everything(t, "acme")
		r, err := c.Request(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := c.Writes(r); n != 1 || err != nil {
			t.Errorf("%s: %d writes, %v", name, n, err)
		}
	}
}

package proxy_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/proxy"
)

func TestWhatGrafanaAsksFor(t *testing.T) {
	for name, tt := range map[string]struct {
		header http.Header
		want   map[string]any
	}{
		"a panel":         {http.Header{"X-Dashboard-Uid": {"a-B_9"}, "X-Panel-Id": {"12"}}, map[string]any{"dashboard": "a-B_9", "panel": "12"}},
		"a rule":          {http.Header{"X-Rule-Uid": {"r1"}}, map[string]any{"rule": "r1"}},
		"nothing":         {nil, map[string]any{}},
		"what is strange": {http.Header{"X-Dashboard-Uid": {`a"b`}, "X-Panel-Id": {strings.Repeat("1", 65)}, "X-Rule-Uid": {"a", "b"}}, map[string]any{}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFence(t, nil)
			r := f.Request(t, http.MethodGet, "/api/v1/query?query=up", "")
			maps.Copy(r.Header, tt.header)
			f.Do(t, r)
			got := map[string]any{}
			for _, field := range []string{"dashboard", "panel", "rule"} {
				if v := f.lines(t, 1)[0][field]; v != nil {
					got[field] = v
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSlowQueriesAreNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		slow time.Duration
		path string
		want any
	}{
		"off":             {0, "/api/v1/query?query=up", nil},
		"fast":            {time.Hour, "/api/v1/query?query=up", nil},
		"slow":            {time.Nanosecond, "/api/v1/query?query=up", "up"},
		"slow selectors":  {time.Nanosecond, "/api/v1/series?match[]=up&match[]=down", "up\ndown"},
		"a long one":      {time.Nanosecond, "/api/v1/query?query=" + strings.Repeat("x", 5000), strings.Repeat("x", 4096) + "…"},
		"without a query": {time.Nanosecond, "/api/v1/alerts", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFence(t, func(o *proxy.Options) { o.SlowQuery = tt.slow })
			f.Answer(answerNothing)
			f.Get(t, tt.path)
			n := 1
			if tt.want != nil {
				n = 2
			}
			lines := f.lines(t, n)
			if len(lines) != n {
				t.Fatalf("%d lines, want %d: %v", len(lines), n, lines)
			}
			if tt.want == nil {
				return
			}
			slow := lines[1]
			if slow["level"] != "warn" || slow["message"] != "slow query" || slow["query"] != tt.want || slow["ms"] == nil || slow["req_id"] != lines[0]["req_id"] {
				t.Errorf("the line is %v", slow)
			}
			if diff := cmp.Diff([]any{"acme"}, slow["tenants"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What the operator of a provider without the claim has to look for.
func TestTheLineOfAGoodTokenWithoutATenantSaysWhose(t *testing.T) {
	f := newFence(t, nil)
	for _, token := range []string{f.Issuer.Token(t, nil, nil), "x.y.z"} {
		r := f.Request(t, http.MethodGet, "/api/v1/query?query=up", "")
		r.Header.Set("Authorization", "Bearer "+token)
		f.Do(t, r)
	}
	lines := f.lines(t, 2)
	if lines[0]["status"] != 403.0 || lines[0]["subject"] != "alice" || lines[0]["issuer"] != f.Issuer.URL {
		t.Errorf("a good token: %v", lines[0])
	}
	if lines[1]["status"] != 401.0 || lines[1]["subject"] != nil || lines[1]["issuer"] != nil {
		t.Errorf("one that was not believed: %v", lines[1])
	}
}

func TestTheLineOfAnUnknownPathNamesIt(t *testing.T) {
	f := newFence(t, nil)
	long := "/" + strings.Repeat("x", 100)
	for i, tt := range []struct{ path, want string }{
		{"/api/v1/qurey?query=secret", "/api/v1/qurey"},
		{`/a%0Ab"c`, "/a%0Ab%22c"},
		{long, long[:64] + "…"},
	} {
		f.Get(t, tt.path)
		if got := f.lines(t, i+1)[i]["path"]; got != tt.want {
			t.Errorf("%s: %v, want %s", tt.path, got, tt.want)
		}
	}
	f.Get(t, "/api/v1/query?query=up")
	if line := f.lines(t, 4)[3]; line["path"] != nil || strings.Contains(f.Log.String(), "secret") {
		t.Errorf("a known path: %v", line)
	}
}

func TestRequestIDs(t *testing.T) {
	f := newFence(t, nil)
	for name, tt := range map[string]struct {
		sent []string
		kept bool
	}{
		"a harmless one": {[]string{"aZ-09_.x"}, true},
		"as long as may": {[]string{strings.Repeat("x", 64)}, true},
		"a long one":     {[]string{strings.Repeat("x", 65)}, false},
		"a strange one":  {[]string{"a b"}, false},
		"not ASCII":      {[]string{"ä"}, false},
		"two":            {[]string{"a", "b"}, false},
		"an empty one":   {[]string{""}, false},
		"none":           {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := f.Request(t, http.MethodGet, "/api/v1/query?query=up", "")
			r.Header["X-Request-Id"] = tt.sent
			resp, _ := f.Do(t, r)
			id := resp.Header.Get("X-Request-Id")
			asked := f.Asked()[0].Header["X-Request-Id"]
			if tt.kept != (len(tt.sent) == 1 && id == tt.sent[0]) || len(asked) != 1 || asked[0] != id || !tt.kept && len(id) != 16 {
				t.Errorf("the answer has %q, the upstream gets %q", id, asked)
			}
		})
	}
}

// failing is an Authenticator with an error of its own.
type failing struct{ err error }

func (f failing) Authenticate(*http.Request) (auth.Identity, error) { return auth.Identity{}, f.err }

func TestA500TellsItsCauseToTheLogAlone(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Auth = failing{errors.New("dial 10.1.2.3: " + strings.Repeat("x", 10_000))} })
	resp, body := f.Get(t, "/api/v1/query?query=up")
	wantError(t, resp, body, http.StatusInternalServerError, "internal", "its log has the cause")
	line := f.lines(t, 1)[0]
	text := fmt.Sprint(line["error"])
	if strings.Contains(body, "10.1.2.3") || !strings.Contains(text, "dial 10.1.2.3") || line["level"] != "error" {
		t.Errorf("the caller reads %s, and the log has %.200s", body, text)
	}
	if len(text) > 4096+len("…") {
		t.Errorf("%d bytes of it are in the log", len(text))
	}
}

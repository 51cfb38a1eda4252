package apierr_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/proxy/apierr"
)

var errCause = errors.New("dial 10.0.0.1: acme's key")

func TestFromKeepsCausesFromTheCaller(t *testing.T) {
	for name, tt := range map[string]struct {
		err         error
		status      int
		kind, tells string
	}{
		"one of ours":           {apierr.BadData("bad %q", "x"), 400, "bad_data", `bad "x"`},
		"one of ours, wrapped":  {fmt.Errorf("dial 10.0.0.1: %w", apierr.New(404, "none")), 404, "not_found", "none"},
		"beyond a limit":        {apierr.New(413, "too large").OverLimit("max_x"), 413, "too_large", "too large"},
		"no token":              {&auth.Error{Message: "no token", Err: errCause}, 401, "unauthorized", "no token; see /docs"},
		"no tenant":             {&auth.Error{Reason: auth.BadTenant, Message: "no tenant", Err: errCause}, 403, "forbidden", "no tenant"},
		"no policy":             {&auth.Error{Reason: auth.BadPolicy, Message: "no policy", Err: errCause}, 403, "forbidden", "no policy"},
		"a bad header":          {&auth.Error{Reason: auth.BadHeader, Message: "no header", Err: errCause}, 400, "bad_data", "no header"},
		"no keys":               {&auth.Error{Reason: auth.Unavailable, Message: "no keys", Err: errCause}, 503, "unavailable", "no keys"},
		"an error of elsewhere": {errCause, 500, "internal", "promfence could not handle this request; its log has the cause under this X-Request-Id"},
	} {
		t.Run(name, func(t *testing.T) {
			e := apierr.From(tt.err)
			if e.Status != tt.status || e.Type != tt.kind || e.Message != tt.tells {
				t.Errorf("%d %s %q, want %d %s %q", e.Status, e.Type, e.Message, tt.status, tt.kind, tt.tells)
			}
			if errors.Is(tt.err, errCause) && !errors.Is(e, errCause) {
				t.Error("the log does not get the cause")
			}
		})
	}
}

func TestErrorsAreWrittenAsPrometheusWritesThem(t *testing.T) {
	common := func(length string, more http.Header) http.Header {
		h := http.Header{"Content-Type": {"application/json"}, "Content-Length": {length}, "X-Content-Type-Options": {"nosniff"}}
		maps.Copy(h, more)
		return h
	}
	for name, tt := range map[string]struct {
		err  *apierr.Error
		body string
		more http.Header
	}{
		"a message in need of escapes": {
			apierr.BadData(`want "a"`), `{"status":"error","errorType":"bad_data","error":"want \"a\""}`, nil,
		},
		"the cause is not in it": {
			apierr.Internal(errCause),
			`{"status":"error","errorType":"internal","error":"promfence could not handle this request; its log has the cause under this X-Request-Id"}`, nil,
		},
		"a challenge": {
			apierr.New(401, "x"), `{"status":"error","errorType":"unauthorized","error":"x"}`,
			http.Header{"Www-Authenticate": {`Bearer error="invalid_token"`}},
		},
		"a challenge to who showed nothing": {
			apierr.From(&auth.Error{Reason: auth.Missing, Message: "x"}), `{"status":"error","errorType":"unauthorized","error":"x; see /docs"}`,
			http.Header{"Www-Authenticate": {"Bearer"}},
		},
		"the methods that exist": {
			&apierr.Error{Status: 405, Type: "t", Message: "x", Allow: []string{"GET", "POST"}}, `{"status":"error","errorType":"t","error":"x"}`,
			http.Header{"Allow": {"GET, POST"}},
		},
		"when to come again, rounded up": {
			&apierr.Error{Status: 429, Type: "t", Message: "x", RetryAfter: 1001 * time.Millisecond}, `{"status":"error","errorType":"t","error":"x"}`,
			http.Header{"Retry-After": {"2"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			tt.err.Write(w)
			if w.Code != tt.err.Status || w.Body.String() != tt.body {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tt.err.Status, tt.body)
			}
			if diff := cmp.Diff(common(fmt.Sprint(len(tt.body)), tt.more), w.Header()); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryStatusHasAType(t *testing.T) {
	for status, want := range map[int]string{400: "bad_data", 418: "bad_data", 422: "execution", 499: "bad_data", 504: "timeout", 507: "internal"} {
		if got := apierr.New(status, "").Type; got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}

func TestARequestIsNamedInTheTextOfA5xx(t *testing.T) {
	for status, named := range map[int]bool{400: false, 401: false, 429: false, 499: false, 500: true, 502: true, 503: true, 504: true} {
		e := apierr.New(status, "because")
		want := "because"
		if named {
			want = "because (X-Request-Id: req-1)"
		}
		if got := e.WithID("req-1"); got.Message != want || got.Status != status || e.Message != "because" {
			t.Errorf("%d: %q", status, got.Message)
		}
	}
}

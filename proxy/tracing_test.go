package proxy_test

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/proxy"
	"github.com/promfence/promfence/proxy/record"
)

func TestSpansContinueTheCallersTrace(t *testing.T) {
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	spans := make(chan record.Span, 10)
	f := newFence(t, func(o *proxy.Options) { o.Spans = func(s record.Span) { spans <- s } })
	for _, tt := range []struct {
		name, sent string
		traced     bool
		continues  bool
	}{
		{"a sampled trace", "00-" + trace + "-" + parent + "-01", true, true},
		{"one that is not sampled", "00-" + trace + "-" + parent + "-00", false, true},
		{"none", "", true, false},
		{"a later version", "01-" + trace + "-" + parent + "-01-more", true, true},
		{"no version", "ff-" + trace + "-" + parent + "-01", true, false},
		{"capitals", "00-" + strings.ToUpper(trace) + "-" + parent + "-01", true, false},
		{"no trace", "00-" + strings.Repeat("0", 32) + "-" + parent + "-01", true, false},
		{"no parent", "00-" + trace + "-" + strings.Repeat("0", 16) + "-01", true, false},
		{"too long", "00-" + trace + "-" + parent + "-01-more", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := f.Request(t, http.MethodGet, "/api/v1/query?query=up", "")
			if tt.sent != "" {
				r.Header.Set("Traceparent", tt.sent)
			}
			r.Header.Set("Tracestate", "vendor=x")
			f.Do(t, r)
			forwarded := f.Asked()[0].Header
			if !tt.traced {
				if forwarded.Get("Traceparent") != tt.sent || len(spans) > 0 {
					t.Errorf("the upstream gets %q, and %d spans", forwarded["Traceparent"], len(spans))
				}
				return
			}
			s := <-spans
			if want := "00-" + hex.EncodeToString(s.Trace[:]) + "-" + hex.EncodeToString(s.ID[:]) + "-01"; forwarded.Get("Traceparent") != want {
				t.Errorf("the upstream gets %q, want %s", forwarded["Traceparent"], want)
			}
			continues := hex.EncodeToString(s.Trace[:]) == trace && hex.EncodeToString(s.Parent[:]) == parent
			if continues != tt.continues || tt.continues != (forwarded.Get("Tracestate") != "") || !tt.continues && s.Parent != [8]byte{} {
				t.Errorf("span %x of trace %x below %x, Tracestate %q", s.ID, s.Trace, s.Parent, forwarded.Get("Tracestate"))
			}
			if s.Tenant != "acme" || s.Route != "/api/v1/query" || s.Status != 200 || s.Upstream <= 0 || s.Took < s.Upstream || time.Since(s.Start) > time.Minute {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestTracestateInSeveralLinesIsOneList(t *testing.T) {
	f := newFence(t, nil)
	long := strings.Repeat("x", 3000)
	for name, tt := range map[string]struct{ lines, want []string }{
		"two":            {[]string{"a=1,b=2", "c=3"}, []string{"a=1,b=2,c=3"}},
		"more than fits": {[]string{"a=" + long, "b=" + long}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := f.Request(t, http.MethodGet, "/api/v1/query?query=up", "")
			r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			r.Header["Tracestate"] = tt.lines
			f.Do(t, r)
			all := f.Asked()
			if got := all[len(all)-1].Header["Tracestate"]; !slices.Equal(got, tt.want) {
				t.Errorf("the upstream gets %q", got)
			}
		})
	}
}

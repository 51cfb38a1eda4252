package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/proxy"
)

// metadataUpstream answers /metadata and what its filter asks for beside it.
func metadataUpstream(targets string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/api/v1/metadata":
			_, _ = io.WriteString(w, `{"status":"success","data":{
				"up":[{"type":"gauge","help":"of globex","unit":""}],
				"secret":[{"type":"gauge","help":"of globex","unit":""}],
				"lat":[{"type":"histogram","help":"of globex","unit":"s"},{"type":"histogram","help":"of acme","unit":"s"}]}}`)
		case "/api/v1/label/__name__/values":
			_, _ = io.WriteString(w, `{"status":"success","data":["up","lat_bucket","lat_count","lat_sum"]}`)
		case "/api/v1/targets/metadata":
			if targets == "" {
				http.NotFound(w, r)
				return
			}
			_, _ = io.WriteString(w, targets)
		}
	}
}

func TestMetadataShowsOwnFamiliesWithOwnTexts(t *testing.T) {
	const targets = `{"status":"success","data":[
		{"target":{"tenant_id":"acme"},"metric":"lat","type":"histogram","help":"of acme","unit":"s"},
		{"target":{"tenant_id":"globex"},"metric":"up","type":"gauge","help":"of globex","unit":""}]}`
	tests := []struct{ name, targets, want string }{
		{"Prometheus", targets, `{"status":"success","data":{"up":[{"type":"gauge","help":"","unit":""}],"lat":[{"type":"histogram","help":"of acme","unit":"s"}]}}`},
		{"an upstream without targets", "", `{"status":"success","data":{"up":[{"type":"gauge","help":"","unit":""}],"lat":[{"type":"histogram","help":"","unit":""}]}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFence(t, nil)
			f.Answer(metadataUpstream(tt.targets))
			for range 2 {
				if _, body := f.Get(t, "/api/v1/metadata"); body != tt.want {
					t.Errorf("got %s, want %s", body, tt.want)
				}
			}
			count := map[string]int{}
			for _, a := range f.Asked() {
				count[a.Path]++
				selector := a.form(t).Get("match[]") + a.form(t).Get("match_target")
				if a.Path != "/api/v1/metadata" && selector != `{tenant_id="acme"}` {
					t.Errorf("%s was asked for %q", a.Path, selector)
				}
			}
			if count["/api/v1/label/__name__/values"] != 1 || count["/api/v1/metadata"] != 2 {
				t.Errorf("the upstream was asked %v", count)
			}
		})
	}
}

func TestMetadataWithoutNamesIsNotDelivered(t *testing.T) {
	f := newFence(t, nil)
	f.Answer(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/values") {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		metadataUpstream("")(w, r)
	})
	resp, body := f.Get(t, "/api/v1/metadata")
	wantError(t, resp, body, http.StatusBadGateway, "bad_gateway", "not passed on")
}

// What the filter asks beside has upstream.timeout, too, and all of it: an
// upstream that goes on sending a little is too slow as well.
func TestMetadataWaitsForNamesAsLongAsForAnswers(t *testing.T) {
	for name, sent := range map[string]string{"nothing": "", "a little": " "} {
		t.Run(name+" comes", func(t *testing.T) {
			f := newFence(t, func(o *proxy.Options) { o.UpstreamTimeout = 200 * time.Millisecond })
			f.Answer(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "/values") {
					metadataUpstream("")(w, r)
					return
				}
				for tick := time.NewTicker(20 * time.Millisecond); ; {
					select {
					case <-r.Context().Done():
						tick.Stop()
						return
					case <-tick.C:
						if _, _ = io.WriteString(w, sent); sent != "" {
							_ = http.NewResponseController(w).Flush()
						}
					}
				}
			})
			began := time.Now()
			resp, body := f.Get(t, "/api/v1/metadata")
			wantError(t, resp, body, http.StatusGatewayTimeout, "timeout", "did not answer in time")
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
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

// What one tenant may see is not what another one may.
func TestMetadataIsLookedUpForEachTenant(t *testing.T) {
	f := newFence(t, nil)
	f.Answer(func(w http.ResponseWriter, r *http.Request) {
		form := r.URL.Query()
		switch beta := strings.Contains(form.Get("match[]")+form.Get("match_target"), "beta"); {
		case beta && strings.HasSuffix(r.URL.Path, "/values"):
			_, _ = io.WriteString(w, `{"status":"success","data":["secret"]}`)
		case beta && strings.HasSuffix(r.URL.Path, "/targets/metadata"):
			_, _ = io.WriteString(w, `{"status":"success","data":[{"target":{"tenant_id":"beta"},"metric":"secret","type":"gauge","help":"of beta","unit":""}]}`)
		default:
			metadataUpstream("")(w, r)
		}
	})
	want := map[string]string{
		"acme": `{"status":"success","data":{"up":[{"type":"gauge","help":"","unit":""}],"lat":[{"type":"histogram","help":"","unit":""}]}}`,
		"beta": `{"status":"success","data":{"secret":[{"type":"gauge","help":"of beta","unit":""}]}}`,
	}
	for range 2 {
		for tenant, want := range want {
			r := f.Request(t, http.MethodGet, "/api/v1/metadata", "")
			r.Header.Set("Authorization", "Bearer "+f.Issuer.Token(t, tenant, nil))
			if _, body := f.Do(t, r); body != want {
				t.Errorf("%s got %s, want %s", tenant, body, want)
			}
		}
	}
}

// An error is no empty answer: what own targets describe decides what is shown.
func TestMetadataNeedsAnswersToItsQuestions(t *testing.T) {
	const noSuch = `unsupported path requested: "/api/v1/targets/metadata"`
	for _, tt := range []struct {
		path     string
		status   int
		text     string
		want     int
		encoding string
	}{
		{"/targets/metadata", 404, "404 page not found", 200, ""},
		{"/targets/metadata", 404, `{"status":"error","errorType":"not_found","error":"specified metadata not found"}`, 200, ""},
		{"/targets/metadata", 400, noSuch + "\n", 200, ""},
		{"/targets/metadata", 400, `{"status":"error","errorType":"bad_data","error":"invalid match_target"}`, 502, ""},
		{"/targets/metadata", 400, "", 502, ""},
		{"/targets/metadata", 500, noSuch, 502, ""},
		{"/targets/metadata", 501, "", 502, ""},
		{"/targets/metadata", 503, "", 502, ""},
		{"/targets/metadata", 504, "", 502, ""},
		{"/targets/metadata", 429, "", 502, ""},
		{"/targets/metadata", 401, "", 502, ""},
		{"/targets/metadata", 403, "", 502, ""},
		{"/targets/metadata", 405, "", 502, ""},
		{"/targets/metadata", 302, "", 502, ""},
		{"/targets/metadata", 204, "", 502, ""},
		{"/targets/metadata", 200, "", 502, ""},
		{"/targets/metadata", 200, "404 page not found", 502, ""},
		{"/targets/metadata", 200, `{"status":"error","data":[]}`, 502, ""},
		{"/targets/metadata", 200, `{"status":"success","data":[]}`, 502, "br"},
		{"/targets/metadata", 200, `{"status":"success","data":[]}`, 200, "identity"},
		{"/label/__name__/values", 200, `{"status":"success","data":["up"]}`, 200, ""},
		{"/label/__name__/values", 200, `{"status":"success","data":null}`, 200, ""},
		{"/label/__name__/values", 200, `{"status":"success","data":["up"]`, 502, ""},
		{"/label/__name__/values", 200, `{"status":"success","data":[1]}`, 502, ""},
		{"/label/__name__/values", 200, `{"status":"error","data":["up"]}`, 502, ""},
		{"/label/__name__/values", 404, "", 502, ""},
		{"/label/__name__/values", 400, noSuch, 502, ""},
		{"/label/__name__/values", 500, "", 502, ""},
		{"/label/__name__/values", 503, "", 502, ""},
		{"/label/__name__/values", 429, "", 502, ""},
	} {
		t.Run(fmt.Sprintf("%s %d %q %s", tt.path, tt.status, tt.text, tt.encoding), func(t *testing.T) {
			f := newFence(t, nil)
			f.Answer(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, tt.path) || r.URL.Path == "/api/v1/metadata" {
					metadataUpstream("")(w, r)
					return
				}
				if tt.encoding != "" {
					w.Header().Set("Content-Encoding", tt.encoding)
				}
				w.WriteHeader(tt.status)
				if tt.text != "" {
					_, _ = io.WriteString(w, tt.text)
				}
			})
			resp, body := f.Get(t, "/api/v1/metadata")
			if tt.want == http.StatusOK {
				if resp.StatusCode != http.StatusOK {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
				return
			}
			wantError(t, resp, body, tt.want, "bad_gateway", "not passed on")
			if len(f.Asked()) == 0 { // the failure is not kept
				t.Fatal("nothing was asked")
			}
			f.Answer(metadataUpstream(""))
			if resp, body := f.Get(t, "/api/v1/metadata"); resp.StatusCode != http.StatusOK {
				t.Errorf("afterwards: %d %s", resp.StatusCode, body)
			}
		})
	}
}

// 20 tenants ask at once while somebody's HELP has 9 MiB.
func TestHugeMetadataOfOthersTakesNoMemory(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.UpstreamTimeout = time.Minute })
	const help = `{"status":"success","data":{"secret":[{"type":"gauge","help":"HUGE","unit":""}],"up":[{"type":"gauge","help":"HUGE","unit":""}]}}`
	f.Answer(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/metadata":
			_, _ = io.Copy(w, filled(help))
		case "/api/v1/targets/metadata": // of an upstream that ignores match_target
			_, _ = io.Copy(w, filled(`{"status":"success","data":[{"target":{"tenant_id":"beta"},"metric":"up","type":"gauge","help":"HUGE","unit":""}]}`))
		default:
			_, _ = io.WriteString(w, `{"status":"success","data":["up"]}`)
		}
	})
	const want = `{"status":"success","data":{"up":[{"type":"gauge","help":"","unit":""}]}}`
	requests := make([]*http.Request, 20)
	for i := range requests {
		requests[i] = f.Request(t, http.MethodGet, "/api/v1/metadata", "")
		requests[i].Header.Set("Authorization", "Bearer "+f.Issuer.Token(t, fmt.Sprint("tenant", i), nil))
	}
	rise := peakHeap(func() {
		var wg sync.WaitGroup
		for _, r := range requests {
			wg.Go(func() {
				if _, body := f.Do(t, r); body != want {
					t.Errorf("%.200s", body)
				}
			})
		}
		wg.Wait()
	})
	t.Logf("the heap rose by %d KiB", rise>>10)
	if rise > 64<<20 {
		t.Errorf("the heap rose by %d bytes", rise)
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
	t.Parallel() // it waits
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
			steady(t, func() (failure string) {
				began := time.Now()
				resp, body := f.Get(t, "/api/v1/metadata")
				if took := time.Since(began); took > 20*time.Second {
					return fmt.Sprintf("it took %s", took)
				}
				if resp.StatusCode == http.StatusBadGateway {
					return body
				}
				wantError(t, resp, body, http.StatusGatewayTimeout, "timeout", "did not answer in time")
				return ""
			})
		})
	}
}

package filter_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/proxy/filter"
)

const (
	batch   = `{"results":[{"name":"up","score":0.5,"type":"counter","help":"MARKER","unit":"MARKER"},{"name":"lat_bucket"},{"name":"x","help":"MARKER"}]}` + "\n"
	trailer = `{"status":"success","has_more":false}` + "\n"
)

// searched runs MetricNames for acme, whose own target describes up.
func searched(t *testing.T, params, answer string) (string, error) {
	t.Helper()
	v := filter.View{Labels: labels(t, "acme"), Names: func() (filter.Names, error) { return filter.Names{"up": true, "x": true, "lat_bucket": true}, nil }}
	v.Params, _ = url.ParseQuery(params)
	v.Texts = func() (filter.Texts, error) {
		return v.ReadTexts(strings.NewReader(data(`[{"target":{"tenant_id":"acme"},"metric":"up","type":"gauge","help":"o\u003cwn","unit":"s"}]`)))
	}
	v.Families = func() (filter.Families, error) {
		return v.ReadFamilies(strings.NewReader(data(`{"up":[{"type":"counter","help":"MARKER","unit":""}],"x":[{"type":"gauge","help":"MARKER","unit":"MARKER"}],"MARKER":[{"type":"gauge","help":"","unit":""}]}`)))
	}
	var out strings.Builder
	err := v.MetricNames(&out, iotest.DataErrReader(strings.NewReader(answer)))
	if strings.Contains(out.String(), "MARKER") {
		t.Errorf("somebody else's text in %s", out.String())
	}
	return out.String(), err
}

func TestMetricNames(t *testing.T) {
	for name, tt := range map[string]struct{ params, answer, want string }{
		"type, help and unit are those of /metadata": {
			"include_metadata=true", batch + trailer,
			`{"results":[{"name":"up","score":0.5,"type":"gauge","help":"o\u003cwn","unit":"s"},{"name":"lat_bucket"},{"name":"x","type":"gauge"}]}` + "\n" + trailer,
		},
		"nobody asked": {"", batch + trailer, `{"results":[{"name":"up","score":0.5},{"name":"lat_bucket"},{"name":"x"}]}` + "\n" + trailer},
		"false":        {"include_metadata=0", `{"results":[{"name":"up"}]}` + "\n", `{"results":[{"name":"up"}]}` + "\n"},
		"no results":   {"include_metadata=1", `{"results":[]}` + "\n" + trailer, `{"results":[]}` + "\n" + trailer},
		"null":         {"include_metadata=1", `{"results":null}` + "\n" + trailer, `{"results":null}` + "\n" + trailer},
		"warnings and errors pass as they come, other members do not": {
			"", `{"results":[],"warnings":["PromQL info: x"],"y":"MARKER"}` + "\n" + `{"status":"error","errorType":"timeout","error":"x"}`,
			`{"results":[],"warnings":["PromQL info: x"]}` + "\n" + `{"status":"error","errorType":"timeout","error":"x"}` + "\n",
		},
		"escapes in a name": {"include_metadata=true", `{"results":[{"name":"\u0075p"}]}`, `{"results":[{"name":"\u0075p","type":"gauge","help":"o\u003cwn","unit":"s"}]}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := searched(t, tt.params, tt.answer)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMetricNamesRefuse(t *testing.T) {
	for _, bad := range []string{
		"", "  ", "[]", "null", `{"results":{}}`, `{"results":[1]}`, `{"results":[],"results":[]}`, `{"results":[{"name":"up","name":"x"}]}`, `{"results":[{"name":1}]}`,
		`{"results":[]`, batch + "x", batch + `{"status"`, `{"results":[{"name":"\ud800"}]}`, `{"results":[{"name":"up","score":{"a":1,"a":2}}]}`,
	} {
		got, err := searched(t, "include_metadata=true", bad)
		if wantBadAnswer(t, err); json.Valid([]byte(got)) && !strings.HasPrefix(bad, batch) {
			t.Errorf("%q: wrote %q", bad, got)
		}
	}
}

// Each line leaves as soon as it is whole.
func TestMetricNamesStream(t *testing.T) {
	in, upstream := io.Pipe()
	out, dst := io.Pipe()
	go func() {
		_ = dst.CloseWithError(filter.View{Labels: labels(t, "acme")}.MetricNames(dst, in))
	}()
	for range 3 {
		const line = `{"results":[{"name":"up"}]}` + "\n"
		if _, err := io.WriteString(upstream, line); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(line))
		if _, err := io.ReadFull(out, got); err != nil || string(got) != line {
			t.Fatalf("%q %v", got, err)
		}
	}
	_ = upstream.Close()
	if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
}

// What could not be learned is no answer without texts.
func TestMetricNamesNeedTheFamilies(t *testing.T) {
	broken := errors.New("away")
	v := filter.View{Labels: labels(t, "acme"), Params: url.Values{"include_metadata": {"true"}}}
	var out strings.Builder
	if err := v.MetricNames(&out, strings.NewReader(batch)); err == nil || out.Len() > 0 {
		t.Errorf("%v %s", err, out.String())
	}
	v.Families = func() (filter.Families, error) { return filter.Families{}, broken }
	if err := v.MetricNames(&out, strings.NewReader(batch)); !errors.Is(err, broken) || out.Len() > 0 {
		t.Errorf("%v %s", err, out.String())
	}
}

func TestSharedFamilies(t *testing.T) {
	v := filter.View{Labels: labels(t, "acme"), SharedMetadata: true, Params: url.Values{"include_metadata": {"true"}}, Names: func() (filter.Names, error) { return filter.Names{"up": true}, nil }}
	v.Families = func() (filter.Families, error) {
		return v.ReadFamilies(strings.NewReader(data(`{"up":[{"type":"gauge","help":"one","unit":""},{"type":"gauge","help":"two","unit":""}],"secret":[{"type":"gauge","help":"MARKER","unit":""}]}`)))
	}
	var out strings.Builder
	if err := v.MetricNames(&out, strings.NewReader(`{"results":[{"name":"up"},{"name":"secret"}]}`)); err != nil || out.String() != `{"results":[{"name":"up","type":"gauge","help":"one"},{"name":"secret"}]}`+"\n" {
		t.Errorf("%v %s", err, out.String())
	}
}

// TestCheckSearch holds the text of Prometheus v0.315 (web/api/v1).
func TestCheckSearch(t *testing.T) {
	for sent, want := range map[string]string{"": "", "true": "", "0": "", "T": "", "x": `invalid include_metadata "x": must be boolean`} {
		got := ""
		if err := (filter.View{Params: url.Values{"include_metadata": {sent}}}).CheckSearch(); err != nil {
			if got = err.Error(); status(err) != http.StatusBadRequest {
				t.Errorf("%q: %v", sent, err)
			}
		}
		if got != want {
			t.Errorf("%q: %q", sent, got)
		}
	}
}

package filter_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/proxy/filter"
)

func TestFilterMetadata(t *testing.T) {
	collectSeldom(t)
	entry := func(kind, help string) string { return `{"type":"` + kind + `","help":"` + help + `","unit":""}` }
	told := func(family, kind string) string {
		return strings.NewReplacer(`"up"`, `"`+family+`"`, "gauge", kind).Replace(ownEntry)
	}
	for _, tt := range []struct {
		name, series string // the tenant's series
		answer, want string
		texts        string // of own targets
		params       string
		shared       bool
	}{
		{
			name: "a family without series of the tenant's is not shown", series: "up",
			answer: `{"MARKER":[` + entry("gauge", "MARKER") + `],"up":[` + entry("gauge", "MARKER") + `]}`,
			want:   `{"up":[` + entry("gauge", "") + `]}`,
		},
		{name: "nothing of the tenant's is an empty map", series: "x", answer: `{"MARKER":[` + entry("gauge", "MARKER") + `]}`, want: `{}`},
		{
			name: "as many entries of others as there are", series: "up",
			answer: `{"up":[` + strings.Repeat(entry("gauge", strings.Repeat("MARKER", 2000))+",", 1000) + entry("gauge", "") + `]}`,
			want:   `{"up":[` + entry("gauge", "") + `]}`,
		},
		{name: "an empty map stays one", answer: `{}`, want: `{}`},
		{
			name: "free text of others is blanked", series: "up",
			answer: `{"up":[{"type":"gauge","help":"MARKER","unit":"MARKER","x":"MARKER"}]}`,
			want:   `{"up":[{"type":"gauge","help":"","unit":""}]}`,
		},
		{
			name: "free text of the tenant's targets is shown, each once", series: "up",
			answer: `{"up":[{"type":"gauge","help":"MARKER","unit":"MARKER"}]}`,
			texts:  `[` + betaEntry + `,` + ownEntry + `,` + ownEntry + `,` + strings.Replace(ownEntry, "own", `\u003cb>`, 1) + `]`,
			want:   `{"up":[{"type":"gauge","help":"own","unit":""},{"type":"gauge","help":"\u003cb>","unit":""}]}`,
		},
		{
			name: "families the tenant's targets say nothing about stay blank", series: "up down",
			answer: `{"down":[` + entry("gauge", "MARKER") + `]}`, texts: `[` + ownEntry + `]`,
			want: `{"down":[` + entry("gauge", "") + `]}`,
		},
		{
			name: "a type is shown when all agree", series: "a b",
			answer: `{"a":[` + entry("gauge", "MARKER") + `,` + entry("gauge", "MARKER2") + `],"b":[` + entry("gauge", "") + `,` + entry("counter", "") + `]}`,
			want:   `{"a":[` + entry("gauge", "") + `],"b":[` + entry("unknown", "") + `]}`,
		},
		{name: "free text in a type is unknown", series: "a", answer: `{"a":[` + entry("MARKER", "") + `]}`, want: `{"a":[` + entry("unknown", "") + `]}`},
		{
			name: "types have the series of their suffixes", series: "h_bucket s_count q c_total i_info g_gsum k_created",
			answer: `{"h":[` + entry("histogram", "") + `],"s":[` + entry("summary", "") + `],"q":[` + entry("summary", "") + `],"c":[` + entry("counter", "") + `],"k":[` + entry("counter", "") + `],"i":[` + entry("info", "") + `],"g":[` + entry("gaugehistogram", "") + `]}`,
			want:   `{"h":[` + entry("histogram", "") + `],"s":[` + entry("summary", "") + `],"q":[` + entry("summary", "") + `],"c":[` + entry("counter", "") + `],"k":[` + entry("counter", "") + `],"i":[` + entry("info", "") + `],"g":[` + entry("gaugehistogram", "") + `]}`,
		},
		{
			name: "a suffix of another type proves nothing", series: "MARK_total h_info",
			answer: `{"MARKER":[` + entry("gauge", "") + `],"MARK":[` + entry("gauge", "MARKER") + `],"h":[` + entry("histogram", "") + `]}`,
			want:   `{}`,
		},
		{
			name: "what own targets call a family is no part of another", series: "orders_total jobs_count",
			answer: `{"jobs":[` + entry("summary", "") + `],"jobs_count":[` + entry("gauge", "") + `],"orders":[` + entry("counter", "") + `],"orders_total":[` + entry("counter", "") + `]}`,
			texts:  `[` + told("orders_total", "counter") + `,` + told("jobs_count", "gauge") + `]`,
			want:   `{"jobs_count":[` + entry("gauge", "own") + `],"orders_total":[` + entry("counter", "own") + `]}`,
		},
		{
			name: "and no part of an own family is another", series: "lat_bucket lat_count lat_sum", shared: true,
			answer: `{"lat":[` + entry("histogram", "") + `],"lat_sum":[` + entry("gauge", "MARKER") + `]}`,
			texts:  `[` + told("lat", "histogram") + `]`,
			want:   `{"lat":[` + entry("histogram", "") + `]}`,
		},
		{
			name: "own targets decide which series a family has, and its type", series: "up lat_sum",
			answer: `{"lat":[` + entry("gauge", "MARKER") + `,` + entry("histogram", "own") + `],"up":[` + entry("gauge", "MARKER") + `,` + entry("gauge", "own") + `]}`,
			texts:  `[` + ownEntry + `,` + told("lat", "histogram") + `]`,
			want:   `{"lat":[` + entry("histogram", "own") + `],"up":[` + entry("gauge", "own") + `]}`,
		},
		{
			name: "a type that others call otherwise stays what each own target calls it", series: "a_total",
			answer: `{"a_total":[` + entry("gauge", "MARKER") + `,` + entry("counter", "own") + `]}`,
			texts:  `[` + told("a_total", "counter") + `,` + strings.Replace(told("a_total", "gauge"), "own", "own too", 1) + `]`,
			want:   `{"a_total":[` + entry("counter", "own") + `,` + entry("gauge", "own too") + `]}`,
		},
		{
			name: "free text in an own type is unknown", series: "up",
			answer: `{"up":[` + entry(`a\"b`, "") + `]}`, texts: `[` + told("up", `a\"b`) + `]`,
			want: `{"up":[` + entry("unknown", "own") + `]}`,
		},
		{
			name: "the families of others' targets decide nothing", series: "lat_bucket lat_count lat_sum",
			answer: `{"lat":[` + entry("histogram", "MARKER") + `]}`, texts: `[` + strings.Replace(betaEntry, `"up"`, `"lat_sum"`, 1) + `]`,
			want: `{"lat":[` + entry("histogram", "") + `]}`,
		},
		{
			name: "shared metadata shows every text of a family", series: "up", shared: true,
			answer: `{"MARKER":[` + entry("gauge", "MARKER") + `],"up":[` + entry("gauge", "one") + `,{"type":"counter","help":"two","unit":"s","x":1}]}`,
			want:   `{"up":[` + entry("gauge", "one") + `,{"type":"counter","help":"two","unit":"s","x":1}]}`,
		},
		{
			name: "limits count what is shown", series: "a b c", shared: true, params: "limit=2&limit_per_metric=1",
			answer: `{"MARKER":[` + entry("gauge", "") + `],"a":[` + entry("gauge", "1") + `,` + entry("gauge", "MARKER") + `],"b":[` + entry("gauge", "1") + `],"c":[` + entry("gauge", "MARKER") + `]}`,
			want:   `{"a":[` + entry("gauge", "1") + `],"b":[` + entry("gauge", "1") + `]}`,
		},
		{
			name: "a shared text that two readers read differently is blank", series: "up", shared: true,
			answer: `{"up":[{"type":"gauge","help":"MARKER","help":"MARKER"},{"type":"gauge","help":"\ud800MARKER"},` + entry("gauge", "one") + `]}`,
			want:   `{"up":[` + entry("gauge", "one") + `,` + entry("gauge", "") + `]}`,
		},
		{name: "limit zero shows nothing", series: "a", params: "limit=0", answer: `{"a":[` + entry("gauge", "") + `]}`, want: `{}`},
		{name: "limit_per_metric zero is none", series: "a", params: "limit_per_metric=0", answer: `{"a":[` + entry("gauge", "") + `]}`, want: `{"a":[` + entry("gauge", "") + `]}`},
		{name: "no entries are none", series: "a", answer: `{"a":[],"b":[]}`, want: `{"a":[]}`},
		{
			name: "names beyond ASCII", series: "größe \"q\"",
			answer: `{"gr\u00f6\u00dfe":[` + entry("gauge", "") + `],"\"q\"":[` + entry("gauge", "") + `]}`,
			want:   `{"größe":[` + entry("gauge", "") + `],"\"q\"":[` + entry("gauge", "") + `]}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := acme(t)
			v.Families = map[string]bool{}
			for name := range strings.FieldsSeq(tt.series) {
				v.Families[name] = true
			}
			v.Params, _ = url.ParseQuery(tt.params)
			v.SharedMetadata = tt.shared
			if tt.texts != "" {
				v.TargetTexts = strings.NewReader(data(tt.texts))
			}
			got, err := filtered(t, "metadata", data(tt.answer), v)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(data(tt.want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFilterMetadataNeedsTheFamilies(t *testing.T) {
	v := acme(t)
	v.FamiliesErr = errors.New("the upstream is away")
	if got, err := filtered(t, "metadata", answers["metadata"], v); !errors.Is(err, v.FamiliesErr) || got != "" {
		t.Errorf("wrote %q, %v", got, err)
	}
	v = answerView(t)
	v.TargetTexts = strings.NewReader("{}")
	if got, err := filtered(t, "metadata", answers["metadata"], v); !errors.Is(err, filter.ErrAnswer) || got != "" {
		t.Errorf("wrote %q, %v", got, err)
	}
}

// TestCheckMetadataParams holds the texts of Prometheus v0.315.0 (web/api/v1).
func TestCheckMetadataParams(t *testing.T) {
	for params, want := range map[string]string{
		"":                           "",
		"limit=5&limit_per_metric=0": "",
		"limit=-1":                   "",
		"limit=x":                    "limit must be a number",
		"limit_per_metric=1.5":       "limit_per_metric must be a number",
	} {
		values, err := url.ParseQuery(params)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := (filter.View{Params: values}).CheckMetadata(); err != nil {
			got = err.Error()
			if status(err) != http.StatusBadRequest {
				t.Errorf("%s: status %d", params, status(err))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", params, diff)
		}
	}
}

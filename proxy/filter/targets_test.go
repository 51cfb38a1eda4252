package filter_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	ownAlert   = `{"labels":{"alertname":"A","tenant_id":"acme"},"annotations":{"n":"NaN"},"state":"firing","activeAt":"2026-01-01T00:00:00Z","value":"NaN","new":{"field":[]}}`
	betaAlert  = `{"labels":{"alertname":"MARKER","tenant_id":"beta"},"annotations":{},"state":"firing","value":"1e+00"}`
	ownTarget  = `{"discoveredLabels":{"__address__":"a:1"},"labels":{"job":"j","tenant_id":"acme"},"scrapePool":"p","scrapeUrl":"http://a:1/metrics","lastError":"own","health":"up"}`
	betaTarget = `{"discoveredLabels":{"tenant_id":"acme","__address__":"MARKER"},"labels":{"job":"MARKER","tenant_id":"beta"},"scrapePool":"MARKER","lastError":"MARKER"}`
	ownEntry   = `{"target":{"job":"j","tenant_id":"acme"},"metric":"up","type":"gauge","help":"own","unit":""}`
	betaEntry  = `{"target":{"job":"MARKER","tenant_id":"beta"},"metric":"up","type":"gauge","help":"MARKER","unit":"MARKER"}`
)

func TestFilterAlerts(t *testing.T) {
	for name, tt := range map[string]struct{ answer, want string }{
		"own alerts pass byte for byte": {answers["alerts"], data(`{"alerts":[` + ownAlert + `,` + ownAlert + `]}`)},
		"an alert without the label is nobody's": {
			data(`{"alerts":[{"labels":{"alertname":"MARKER"}},{"labels":null},{"MARKER":1},{"annotations":{"tenant_id":"acme"},"labels":{}}]}`), data(`{"alerts":[]}`),
		},
		"an empty list stays one":    {data(`{"alerts":[]}`), data(`{"alerts":[]}`)},
		"a null list stays one":      {data(`{"alerts":null}`), data(`{"alerts":null}`)},
		"unknown fields are dropped": {data(`{"MARKER":{"x":[1]},"alerts":[],"n":"MARKER"}`), data(`{"alerts":[]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := filtered(t, "alerts", tt.answer, acme(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFilterTargets(t *testing.T) {
	for name, tt := range map[string]struct{ answer, want string }{
		"own targets pass whole, dropped ones and counts do not": {
			answers["targets"], data(`{"activeTargets":[` + ownTarget + `,` + ownTarget + `],"droppedTargets":[],"droppedTargetCounts":{}}`),
		},
		"discovered labels make nobody an owner": {
			data(`{"activeTargets":[` + betaTarget + `,{"labels":{},"discoveredLabels":{"tenant_id":"acme"},"scrapePool":"MARKER"}]}`), data(`{"activeTargets":[]}`),
		},
		"nulls stay": {
			data(`{"activeTargets":null,"droppedTargets":null,"droppedTargetCounts":null}`), data(`{"activeTargets":null,"droppedTargets":null,"droppedTargetCounts":null}`),
		},
		"a list of a strange kind is emptied": {
			data(`{"activeTargets":[],"droppedTargets":"MARKER","droppedTargetCounts":7}`), data(`{"activeTargets":[],"droppedTargets":null,"droppedTargetCounts":null}`),
		},
		"unknown fields are dropped": {data(`{"scrapePools":["MARKER"],"activeTargets":[]}`), data(`{"activeTargets":[]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := filtered(t, "targets", tt.answer, acme(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFilterTargetsMetadata(t *testing.T) {
	second := strings.ReplaceAll(ownEntry, `"j"`, `"k"`)
	three := data(`[` + betaEntry + `,` + ownEntry + `,` + ownEntry + `,` + betaEntry + `,` + second + `]`)
	for name, tt := range map[string]struct{ params, answer, want string }{
		"own targets' entries pass whole":          {"", three, data(`[` + ownEntry + `,` + ownEntry + `,` + second + `]`)},
		"limit counts own entries, by target":      {"limit=1", three, data(`[` + ownEntry + `,` + ownEntry + `]`)},
		"a higher limit reaches the next target":   {"limit=3", three, data(`[` + ownEntry + `,` + ownEntry + `,` + second + `]`)},
		"limit zero shows nothing":                 {"limit=0", three, data(`[]`)},
		"a negative limit is none":                 {"limit=-7", three, data(`[` + ownEntry + `,` + ownEntry + `,` + second + `]`)},
		"an entry without target is nobody's":      {"", data(`[{"metric":"MARKER"},{"target":null,"help":"MARKER"}]`), data(`[]`)},
		"an empty list stays one":                  {"", data(`[]`), data(`[]`)},
		"with a metric the entries have no family": {"metric=up", data(`[{"target":{"tenant_id":"acme"},"type":"gauge","help":"h","unit":""}]`), data(`[{"target":{"tenant_id":"acme"},"type":"gauge","help":"h","unit":""}]`)},
	} {
		t.Run(name, func(t *testing.T) {
			v := acme(t)
			v.Params, _ = url.ParseQuery(tt.params)
			got, err := filtered(t, "targets/metadata", tt.answer, v)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

package logs_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/cmd/promfence/logs"
)

func TestLogfmt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no line is written before the others are there
		var got writes
		w := logs.NewWriter(&got, prometheus.NewRegistry())
		l := zerolog.New(logs.Logfmt{Out: w})
		l.Info().Str("route", "/api/v1/query").Int("status", 200).Float64("ms", 1.5).Bool("tls", false).Str("empty", "").
			Strs("tenants", []string{"acme", "a b"}).Str("error", "line\nbreak=\"x\"").Msg("request")
		_, _ = logs.Logfmt{Out: w}.Write([]byte("no JSON\n"))
		_, _ = logs.Logfmt{Out: w}.Write([]byte(`{"torn":` + "\n"))
		w.Close()
		want := writes{`level=info route=/api/v1/query status=200 ms=1.5 tls=false empty="" tenants="[\"acme\",\"a b\"]" error="line\nbreak=\"x\"" message=request` + "\n" +
			"no JSON\n" + `{"torn":` + "\n"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

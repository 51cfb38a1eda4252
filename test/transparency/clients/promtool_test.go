package clients_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/test/harness/gobuild"
)

// What promtool prints, and how it exits, is the same through promfence.
func promtoolCannotTell(t *testing.T, w *world) {
	binary, err := gobuild.Promtool(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "http.yml")
	if err := os.WriteFile(file, []byte("authorization: {credentials: "+w.token+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start, end := fmt.Sprint(w.Now.Add(-10*time.Minute).Unix()), fmt.Sprint(w.Now.Unix())
	for _, args := range [][]string{
		{"query", "instant", "--time=" + end, "SERVER", "sort_by_label(requests_total, 'job', 'code')"},
		{"query", "-o", "json", "instant", "--time=" + end, "SERVER", "sum by (job) (rate(requests_total[5m]))"},
		{"query", "instant", "--time=" + end, "SERVER", "histogram_quantile(0.9, native_seconds)"},
		{"query", "instant", "--time=" + end, "SERVER", "only_stranger"},
		{"query", "instant", "--time=" + end, "SERVER", "sum("},
		{"query", "instant", "--time=" + end, "SERVER", "same + on () same"},
		{"query", "range", "--start=" + start, "--end=" + end, "--step=1m", "SERVER", "requests_total"},
		{"query", "range", "--start=" + start, "--end=" + end, "--step=1m", "--header=X-Dashboard-Uid=abc", "SERVER", "memory_bytes"},
		{"query", "range", "--start=" + end, "--end=" + start, "--step=1m", "SERVER", "memory_bytes"},
		{"query", "series", "--match=requests_total", "--match=memory_bytes", "--start=" + start, "--end=" + end, "SERVER"},
		{"query", "labels", "--start=" + start, "--end=" + end, "SERVER", "job"},
		{"query", "labels", "--match=requests_total", "--start=" + start, "--end=" + end, "SERVER", "code"},
		{"query", "analyze", "--server=SERVER", "--type=histogram", "--duration=5m", "--time=" + end, "--match=latency_seconds_bucket"},
	} {
		want := promtool(t, binary, "", w.Alone.URL, args)
		got := promtool(t, binary, file, w.fence, args)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-alone +promfence):\n%s", args, diff)
		}
	}
	if got := promtool(t, binary, "", w.fence, []string{"query", "instant", "SERVER", "up"}); !strings.Contains(got, "401") || !strings.Contains(got, "exit status 1") {
		t.Errorf("without a token promtool says %s", got)
	}
}

// promtool returns all that it prints, and how it exits.
func promtool(t *testing.T, binary, config, server string, args []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all := []string{args[0]}
	if config != "" {
		all = append(all, "--http.config.file="+config)
	}
	for _, arg := range args[1:] {
		all = append(all, strings.ReplaceAll(arg, "SERVER", server))
	}
	out, err := exec.CommandContext(ctx, binary, all...).CombinedOutput()
	text, parser, ok := strings.Cut(string(out), " (promfence's PromQL parser")
	if ok {
		_, rest, _ := strings.Cut(parser, ")")
		text += rest
	}
	return fmt.Sprintln(text, err)
}

package clients_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/test/harness/fence"
)

// The client that Prometheus's own editor completes with, run by Node.js.
func theEditorsClientCannotTell(t *testing.T, w *world) {
	if _, err := exec.LookPath("npm"); err != nil {
		fence.LeaveOut(t, "no npm: install Node.js 20 or newer (apt-get install npm)")
	}
	run(t, nil, "npm", "ci", "--silent", "--no-audit", "--no-fund", "--prefer-offline")
	ask := func(server, token string) (all struct {
		Answers map[string]map[string]any
		Errors  []string
	},
	) {
		out := run(t, []string{"SERVER=" + server, "TOKEN=" + token}, "node", "ask.mjs")
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		for i, text := range all.Errors {
			text, _, _ = strings.Cut(text, " (promfence's PromQL parser")
			all.Errors[i] = strings.TrimPrefix(text, `invalid parameter "match[]": `)
		}
		return all
	}
	want, got := ask(w.Alone.URL, ""), ask(w.fence, w.token)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-alone +promfence):\n%s", diff)
	}
	if len(want.Errors) != 2 || want.Answers["POST"]["series"] != 4.0 {
		t.Errorf("the script asks too little: %v", want)
	}
	if refused := ask(w.fence, ""); len(refused.Errors) != 18 || refused.Errors[0] != "Unauthorized" {
		t.Errorf("without a token it reports %q", refused.Errors)
	}
}

// run runs a command in promql/ and returns what it printed.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "promql"
	cmd.Env = append(os.Environ(), env...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s\n%s", name, strings.Join(args, " "), err, out, problems.String())
	}
	return string(out)
}

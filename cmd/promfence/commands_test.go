package main_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	promfence "github.com/promfence/promfence/cmd/promfence"
)

// Whoever asks for a command's help wants that, and not eighty settings.
func TestHelpShowsACommandsFlagsFirst(t *testing.T) {
	for _, tt := range []struct {
		args     []string
		first    string
		settings bool
	}{
		{[]string{"explain", "--help"}, "promfence explain --tenant", false},
		{[]string{"check", "--help"}, "promfence check [--config", false},
		{[]string{"serve", "-h"}, "promfence serve [--config", false},
		{[]string{"--help"}, "promfence lets every tenant", true},
		{[]string{"help"}, "promfence lets every tenant", true},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var out bytes.Buffer
			if err := promfence.Run(t.Context(), tt.args, nil, &out, io.Discard); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(out.String(), tt.first) || strings.Contains(out.String(), "PROMFENCE_UPSTREAM_URL") != tt.settings {
				t.Errorf("shows\n%s", &out)
			}
		})
	}
}

func TestAnUnknownCommandSaysSoAndNamesTheNearest(t *testing.T) {
	for name, want := range map[string]string{
		"chek":    "chek: no such command; did you mean check?; there are serve, check, explain, version",
		"explian": "explian: no such command; did you mean explain?",
		"run":     "run: no such command; there are serve",
	} {
		err := promfence.Run(t.Context(), []string{name}, nil, io.Discard, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestCheckWarnsAndSaysThatItAskedNobody(t *testing.T) {
	var out, warned bytes.Buffer
	err := promfence.Run(t.Context(), []string{"check"}, []string{
		"PROMFENCE_UPSTREAM_URL=http://127.0.0.1:9090/api/v1", "PROMFENCE_AUTH_ISSUER=https://idp.example.com", "PROMFENCE_AUTH_AUDIENCE=a",
	}, &out, &warned)
	if err != nil {
		t.Fatal(err)
	}
	if want := "warning: PROMFENCE_UPSTREAM_URL: promfence adds /api/v1 to it; want the URL without that\n"; warned.String() != want {
		t.Errorf("warned %q, want %q", &warned, want)
	}
	if !strings.Contains(out.String(), "\n# Nobody was asked:") {
		t.Errorf("says\n%s", &out)
	}
}

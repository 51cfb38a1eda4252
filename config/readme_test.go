package config_test

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/config"
)

var update = flag.Bool("update", false, "rewrite the part of README.md that is made from Settings")

func TestREADMEHoldsTheTableOfSettings(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(b), "-update -->\n")
	shown, after, ended := strings.Cut(rest, "<!-- end settings -->")
	if !begun || !ended {
		t.Fatal("no markers around the table")
	}
	var made bytes.Buffer
	if err := config.WriteTable(&made); err != nil {
		t.Fatal(err)
	}
	if *update {
		text := before + "-update -->\n" + made.String() + "<!-- end settings -->" + after
		if err := os.WriteFile("README.md", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(made.String(), shown); diff != "" {
		t.Errorf("rewrite it with go test ./config -run README -update (-code +README):\n%s", diff)
	}
}

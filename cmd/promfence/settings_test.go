package main_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth"
	promfence "github.com/promfence/promfence/cmd/promfence"
)

// What the parts know of their settings is said together with what config knows,
// under the names that the operator wrote.
func TestMistakesAreToldAllAtOnceByTheNamesThatWereWritten(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.*")
	if err != nil || len(files) < 15 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			args, environ, want := []string{"check"}, []string{}, "the settings are wrong"
			for line := range strings.SplitSeq(string(text), "\n") {
				if mistake, ok := strings.CutPrefix(line, "# want: "); ok {
					want += "\n  " + mistake
				} else {
					environ = append(environ, line)
				}
			}
			if filepath.Ext(path) == ".yaml" {
				args, environ = append(args, "--config", path), nil
			}
			got := fmt.Sprint(promfence.Run(t.Context(), args, environ, io.Discard, io.Discard))
			if diff := cmp.Diff(want, got); diff != "" || strings.Contains(got, "s3cret") {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A mistake in an option without a setting's name would be said of nothing.
func TestEveryOptionOfAuthHasASetting(t *testing.T) {
	ours := map[string]bool{ // those that run decides about
		"TenantHeader": true, "TenantLabel": true, "Issuers": true, "CacheSize": true, "Previous": true, "Policies": true, "Limits": true, "Logger": true, "HTTPClient": true,
	}
	for field := range reflect.TypeFor[auth.Options]().Fields() {
		if key := promfence.OptionKey(field.Name); !ours[field.Name] && strings.HasSuffix(key, ".") {
			t.Errorf("%s has no setting", field.Name)
		}
	}
	for field := range reflect.TypeFor[auth.IssuerOptions]().Fields() {
		if key := promfence.OptionKey("Issuers[3]." + field.Name); !strings.HasPrefix(key, "auth.issuers[3].") || strings.HasSuffix(key, ".") {
			t.Errorf("%s has the setting %q", field.Name, key)
		}
	}
}

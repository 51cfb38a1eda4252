package proxy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What must not be forged does not compile. Each program in testdata/forged is laid
// over the package that its first line names; its second line is what the compiler
// must complain of. One of them, which forges nothing, must compile.
func TestForgeriesDoNotCompile(t *testing.T) {
	files, err := filepath.Glob("testdata/forged/*.go")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d programs, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".go"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.SplitN(string(text), "\n", 3)
			in, want := strings.TrimPrefix(lines[0], "// in: "), strings.TrimSpace(strings.TrimPrefix(lines[1], "// want:"))
			out, err := compileOver(t, in, file)
			switch {
			case want == "" && err != nil:
				t.Errorf("the control does not compile: %v\n%s", err, out)
			case want != "" && (err == nil || !strings.Contains(out, want) || !strings.Contains(out, filepath.Base(file))):
				t.Errorf("want the compiler to complain of %q, got %v\n%s", want, err, out)
			}
		})
	}
}

// compileOver compiles a package of ours, or a new one beside proxy, with one file more.
func compileOver(t *testing.T, in, file string) (out string, err error) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir, pkg := here, "."
	if in != "proxy" {
		dir, pkg = filepath.Join(here, in), "./"+in
	}
	overlay, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(dir, filepath.Base(file)): filepath.Join(here, file)},
	})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(name, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", name, pkg)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

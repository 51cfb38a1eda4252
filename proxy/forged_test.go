package proxy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What must not be forged does not compile. Each program in testdata/forged is laid
// over the package that its first line names, or is a package of its own; its second
// line is what the compiler must complain of. One of them, which forges nothing, must
// compile.
func TestForgeriesDoNotCompile(t *testing.T) {
	files, err := filepath.Glob("testdata/forged/*.go")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d programs, %v", len(files), err)
	}
	// Those over proxy would keep the others, which import it, from being compiled.
	overProxy, beside, controls := []string{}, []string{}, []string{}
	for _, file := range files {
		switch in, want := header(t, file); {
		case want == "":
			controls = append(controls, file)
		case in == "proxy":
			overProxy = append(overProxy, file)
		default:
			beside = append(beside, file)
		}
	}
	if got, err := compile(t, controls); len(controls) == 0 || err != nil {
		t.Errorf("the control does not compile: %s", got)
	}
	for _, group := range [][]string{overProxy, beside} {
		complaints, err := compile(t, group)
		if err == nil {
			t.Errorf("everything compiles of %s", group)
		}
		for _, file := range group {
			_, want := header(t, file)
			if got := complaints[filepath.Base(file)]; !strings.Contains(strings.Join(got, "\n"), want) {
				t.Errorf("%s: want the compiler to complain of %q, got %q", file, want, got)
			}
		}
	}
}

// header is what the first two lines of a program say.
func header(t *testing.T, file string) (in, want string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitN(string(text), "\n", 3)
	return strings.TrimPrefix(lines[0], "// in: "), strings.TrimSpace(strings.TrimPrefix(lines[1], "// want:"))
}

// compile compiles programs, and returns what the compiler complains of, by the name of
// the file that it complains of.
func compile(t *testing.T, files []string) (complaints map[string][]string, failed error) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	replace, args := map[string]string{}, []string{"build", "-gcflags=-e", "-overlay", ""}
	for _, file := range files {
		dir, base := here, filepath.Base(file)
		if in, _ := header(t, file); in != "proxy" {
			name := in + strings.TrimSuffix(base, ".go")
			dir, args = filepath.Join(here, name), append(args, "./"+name)
		} else if !slices.Contains(args, ".") {
			args = append(args, ".")
		}
		replace[filepath.Join(dir, base)] = filepath.Join(here, file)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	args[3] = filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(args[3], overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	out, failed := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	complaints = map[string][]string{}
	for line := range strings.Lines(string(out)) {
		place, _, _ := strings.Cut(line, ":")
		complaints[filepath.Base(place)] = append(complaints[filepath.Base(place)], strings.TrimSpace(line))
	}
	return complaints, failed
}

package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const github = "../../.github/"

// A workflow is what a file of GitHub's workflows says, as far as it is checked.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Permissions map[string]string
		Steps       []struct{ Uses, Run string }
	}
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	paths, err := filepath.Glob(github + "workflows/*.yml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%v: workflows %v", err, paths)
	}
	all := map[string]workflow{}
	for _, path := range paths {
		var w workflow
		if err := yaml.Unmarshal([]byte(readFile(t, path)), &w); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[filepath.Base(path)] = w
	}
	return all
}

// A tag of an action can be moved to other code, a digest cannot; and a step has no
// right that its job does not name.
func TestWorkflowsRunPinnedActionsWithNamedRights(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z-]+/[a-z-]+@[0-9a-f]{40}$`)
	for name, w := range workflows(t) {
		if w.Permissions == nil {
			t.Errorf("%s has all rights", name)
		}
		for _, right := range []string{"contents", "packages", "id-token"} {
			if w.Permissions[right] == "write" {
				t.Errorf("%s may write %s in every job", name, right)
			}
		}
		for _, job := range w.Jobs {
			for _, step := range job.Steps {
				if step.Uses != "" && !pinned.MatchString(step.Uses) {
					t.Errorf("%s uses %s", name, step.Uses)
				}
			}
		}
	}
}

// What is published is what anybody can build and what was tested.
func TestWorkflowsDoWhatTheMakefileDoes(t *testing.T) {
	all := workflows(t)
	ran := func(name string) (lines []string) {
		for _, job := range all[name].Jobs {
			for _, step := range job.Steps {
				lines = append(lines, strings.Split(step.Run, "\n")...)
			}
		}
		return lines
	}
	if !slices.ContainsFunc(ran("ci.yml"), func(line string) bool { return strings.HasSuffix(line, " .ci/run") }) {
		t.Error("ci.yml does not run .ci/run")
	}
	if !slices.Contains(ran("release.yml"), "make vuln release") {
		t.Error("release.yml does not run make release")
	}
	targets := readFile(t, "../../Makefile")
	for _, line := range slices.Concat(ran("ci.yml"), ran("release.yml")) {
		made, ok := strings.CutPrefix(line, "make ")
		if !ok {
			continue
		}
		for target := range strings.FieldsSeq(made) {
			if !strings.Contains(target, "=") && !strings.Contains(targets, "\n"+target+":") {
				t.Errorf("%q: there is no target %s", line, target)
			}
		}
	}
}

// GitHub shows a form that it cannot read to nobody, and says so to nobody.
func TestIssueFormsAreComplete(t *testing.T) {
	paths, err := filepath.Glob(github + "ISSUE_TEMPLATE/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	forms := 0
	for _, path := range paths {
		if filepath.Base(path) == "config.yml" {
			continue
		}
		forms++
		var form struct {
			Name, Description, Title string
			Labels                   []string
			Body                     []struct {
				Type, ID    string
				Attributes  map[string]any
				Validations map[string]bool
			}
		}
		d := yaml.NewDecoder(strings.NewReader(readFile(t, path)))
		d.KnownFields(true)
		if err := d.Decode(&form); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if form.Name == "" || form.Description == "" || len(form.Body) == 0 {
			t.Errorf("%s: %+v", path, form)
		}
		ids := map[string]bool{}
		for _, field := range form.Body {
			need := "label"
			if field.Type == "markdown" {
				need = "value"
			} else if field.ID == "" || ids[field.ID] {
				t.Errorf("%s: the field %q is not named, or twice", path, field.ID)
			}
			ids[field.ID] = true
			if !slices.Contains([]string{"markdown", "textarea", "input", "dropdown", "checkboxes"}, field.Type) || field.Attributes[need] == nil {
				t.Errorf("%s: %+v", path, field)
			}
		}
	}
	if forms < 2 {
		t.Errorf("%d forms", forms)
	}
	if _, err := os.Stat(github + "ISSUE_TEMPLATE/config.yml"); err != nil {
		t.Error(err)
	}
}

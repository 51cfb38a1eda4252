// Package docs_test holds what is written to what is true: the README, the OpenAPI
// document and the arrows between the packages.
package docs_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/proxy"
)

var update = flag.Bool("update", false, "rewrite the parts of README.md that are made from code")

// pages are where people read, the first page first.
var pages = []string{
	"../../README.md", "../../config/README.md", "../../auth/README.md", "../../proxy/README.md",
	"../../cmd/promfence/README.md", "../../cmd/promfence/deploy/README.md", "../README.md",
}

// readme is the text of all pages.
func readme(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, page := range pages {
		all.WriteString(readFile(t, page))
	}
	return all.String()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestREADMEShowsWhatTheCodeSays(t *testing.T) {
	for name, part := range map[string]struct{ page, made string }{
		"endpoints": {"../../README.md", endpointsTable(t)},
		"frontend":  {"../../cmd/promfence/deploy/README.md", "```ts\n" + readFile(t, "tsclient/example.ts") + "```\n"},
		"page":      {"../../cmd/promfence/deploy/README.md", "```ts\n" + readFile(t, "tsclient/page.ts") + "```\n"},
	} {
		t.Run(name, func(t *testing.T) {
			text := readFile(t, part.page)
			begin := regexp.MustCompile(`(?m)^<!-- begin ` + name + `:.*\n`).FindStringIndex(text)
			end := strings.Index(text, "<!-- end "+name+" -->")
			if begin == nil || end < begin[1] {
				t.Fatalf("no markers for %s", name)
			}
			if *update {
				text = text[:begin[1]] + part.made + text[end:]
				if err := os.WriteFile(part.page, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(part.made, text[begin[1]:end]); diff != "" {
				t.Errorf("rewrite it with go test ./docs -run README -update (-code +README):\n%s", diff)
			}
		})
	}
}

// enforcement says for people what a row's functions do. What of it a test can
// see in the row, endpointsTable holds.
var enforcement = map[string]string{
	"/query":               "every selector of `query`",
	"/query_range":         "every selector of `query`",
	"/query_exemplars":     "answer filtered by each series' labels, beside every selector of `query`",
	"/query_explain":       "every selector of `query` (Thanos)",
	"/query_range_explain": "every selector of `query` (Thanos)",
	"/query_cost":          "every selector of `query` (Prometheus 3.16)",
	"/query_range_cost":    "every selector of `query` (Prometheus 3.16)",
	"/series":              "every `match[]`; without any a 400, as upstream",
	"/labels":              "every `match[]`; one is added when there is none",
	"/label/{name}/values": "every `match[]`; one is added when there is none",
	"/search/metric_names": "answer filtered, as `/metadata`, where `include_metadata` is asked for, beside every `match[]` (Prometheus 3.12 and later)",
	"/search/label_names":  "every `match[]`; one is added when there is none (Prometheus 3.12 and later)",
	"/search/label_values": "every `match[]`; one is added when there is none (Prometheus 3.12 and later)",
	"/federate":            "every `match[]`; without any an empty answer, as upstream",
	"/rules":               "answer filtered by each rule's own labels, then paged",
	"/alerts":              "answer filtered by each alert's labels",
	"/metadata":            "answer filtered to metrics that the tenant has series of, with the texts of its own targets",
	"/targets":             "answer filtered by each active target's labels",
	"/targets/metadata":    "answer filtered by each target's labels",
	"/read":                "body decoded, a matcher added to every query, encoded again",
	"/format_query":        "reads no data; bounded and parsed like a query",
	"/parse_query":         "reads no data; bounded and parsed like a query",
	"/status/buildinfo":    "reads no data",
	"/explain":             "answered by promfence: the query, the enforced query, the tenants",

	"GET /alertmanager/api/v2/alerts":          "answer filtered by each alert's labels, which `filter` is narrowed to",
	"GET /alertmanager/api/v2/alerts/groups":   "answer filtered by each alert's labels, which `filter` is narrowed to",
	"GET /alertmanager/api/v2/silences":        "answer filtered to silences that can match nothing but the caller's alerts",
	"GET /alertmanager/api/v2/silence/{id}":    "answer filtered to silences that can match nothing but the caller's alerts",
	"POST /alertmanager/api/v2/silences":       "answered by promfence: the silence is one tenant's, its author is the token's `sub`; one to be changed is read first",
	"DELETE /alertmanager/api/v2/silence/{id}": "answered by promfence: the silence is read first, and ended if it is the caller's",
	"GET /alertmanager/api/v2/status":          "answer filtered to the version",
	"GET /alertmanager/api/v2/receivers":       "answer filtered to the receivers of the caller's alerts",

	"/-/healthy":    "public: the process runs",
	"/-/ready":      "public: there are keys, and no shutdown",
	"/docs":         "public: the API's reference",
	"/console":      "public: the console, where `console.enabled` is on",
	"/openapi.yaml": "public: the OpenAPI document",
}

// endpointsTable is proxy.Routes, and what needs no token, as Markdown.
func endpointsTable(t *testing.T) string {
	t.Helper()
	var lines []tableLine
	for _, row := range proxy.Routes {
		key := row.Path
		if row.Alerting() { // where one path may have several rows
			key = row.Methods[0] + " " + row.Base + row.Path
		}
		text := enforcement[key]
		if row.Guard.Filters() != strings.HasPrefix(text, "answer filtered") ||
			(row.Answer != nil) != strings.HasPrefix(text, "answered by") ||
			row.Guard.ReadsBody() != strings.HasPrefix(text, "body ") ||
			slices.Contains(row.Params, "match[]") && !row.Guard.Filters() && !strings.HasPrefix(text, "every `match[]`") {
			t.Errorf("%s: is it true that %q?", row.Path, text)
		}
		base := "/api/v1" // and the other one, as the text above the table says
		if row.Base != "" {
			base = strings.TrimSuffix(row.Base, "/")
		}
		lines = append(lines, tableLine{key, base + row.Path, strings.Join(row.Methods, " ")})
	}
	public := map[string][]string{}
	for method, path := range proxy.PublicEndpoints() {
		public[path] = append(public[path], method)
	}
	for _, path := range slices.Sorted(maps.Keys(public)) {
		lines = append(lines, tableLine{path, path, strings.Join(public[path], " ")})
	}
	for row := range enforcement {
		if !slices.ContainsFunc(lines, func(l tableLine) bool { return l.row == row }) {
			t.Errorf("there is no %s any more", row)
		}
	}
	return table(lines)
}

type tableLine struct{ row, path, methods string }

// table puts neighbors that differ by their paths alone into one line.
func table(lines []tableLine) string {
	var b strings.Builder
	b.WriteString("| path | methods | how the tenant is enforced |\n|---|---|---|\n")
	for len(lines) > 0 {
		first, paths := lines[0], []string{}
		for len(lines) > 0 && lines[0].methods == first.methods && enforcement[lines[0].row] == enforcement[first.row] {
			paths = append(paths, "`"+lines[0].path+"`")
			lines = lines[1:]
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Join(paths, ", "), first.methods, enforcement[first.row])
	}
	return b.String()
}

func TestREADMENamesOnlyTestsThatExist(t *testing.T) {
	defined := namesIn(t, regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w+)\(`), func(path string) bool {
		return strings.HasSuffix(path, "_test.go")
	})
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z][^`]*)`").FindAllStringSubmatch(readme(t), -1)
	if len(named) < 50 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, name := range named {
		if !defined[name[1]] {
			t.Errorf("%s does not exist", name[1])
		}
	}
}

func TestREADMENamesEveryMetric(t *testing.T) {
	defined := namesIn(t, regexp.MustCompile(`"(promfence_[a-z_]+)"`), func(path string) bool {
		return !strings.HasPrefix(path, "../../test/") && !strings.HasSuffix(path, "_test.go")
	})
	named := map[string]bool{}
	for _, name := range regexp.MustCompile("`(promfence_[a-z_]+)`").FindAllStringSubmatch(readme(t), -1) {
		named[name[1]] = true
	}
	if diff := cmp.Diff(defined, named); diff != "" || len(named) == 0 {
		t.Errorf("metrics (-code +README):\n%s", diff)
	}
}

// What an operator may find in the log, the README explains.
func TestREADMEExplainsEveryLineAndReason(t *testing.T) {
	ours := func(path string) bool {
		return !strings.HasPrefix(path, "../../test/") && !strings.HasSuffix(path, "_test.go")
	}
	begins := func(message string) string { return regexp.MustCompile(`[,:] `).Split(message, 2)[0] }
	for name, pattern := range map[string]string{
		"line":   `\.(?:Msg|Info|Warn|Error)\("([a-z][^"]+)"`,
		"reason": ` Reason = "(\w+)"`,
		"limit":  `[oO]verLimit\("(\w+)"`,
	} {
		found := namesIn(t, regexp.MustCompile(pattern), ours)
		if len(found) < 5 {
			t.Errorf("only %d of kind %s", len(found), name)
		}
		for text := range found {
			if !strings.Contains(readme(t), "`"+begins(text)+"`") {
				t.Errorf("the README has no %s %q", name, begins(text))
			}
		}
	}
	if empty := regexp.MustCompile(`(?m)^\| 4\d\d \|.*\| \|$`).FindAllString(readme(t), -1); len(empty) > 0 {
		t.Errorf("and then what? %s", empty)
	}
}

// namesIn collects what a pattern's group finds in Go files.
func namesIn(t *testing.T, pattern *regexp.Regexp, in func(path string) bool) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || !in(path):
			return nil
		}
		for _, m := range pattern.FindAllStringSubmatch(readFile(t, path), -1) {
			names[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestREADMENamesOnlySettingsAndTargetsThatExist(t *testing.T) {
	for _, key := range regexp.MustCompile("`((?:server|admin|upstream|auth|tenancy|limits|cors|console|log|audit|tracing)\\.[a-z_.]+)[`:]").FindAllStringSubmatch(readme(t), -1) {
		if !slices.ContainsFunc(config.Settings, func(s config.Setting) bool { return s.Key == key[1] }) {
			t.Errorf("%s is no setting", key[1])
		}
	}
	makefile := readFile(t, "../../Makefile")
	for _, line := range regexp.MustCompile("(?m)(?:`|^)make ([a-z ]+)").FindAllStringSubmatch(readme(t), -1) {
		for target := range strings.FieldsSeq(line[1]) {
			if !strings.Contains(makefile, "\n"+target+":") {
				t.Errorf("make %s does nothing", target)
			}
		}
	}
}

// A link leads to a file, or to a heading of one.
func TestLinksLeadSomewhere(t *testing.T) {
	found := 0
	for _, page := range pages {
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(readFile(t, page), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			found++
			path, heading, _ := strings.Cut(link[1], "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere", page, link[1])
			} else if heading != "" && !slices.Contains(headings(readFile(t, target)), heading) {
				t.Errorf("%s: %s has no such heading", page, link[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d links", found)
	}
}

// headings are a page's, spelled as in links: lower case, hyphens for spaces,
// nothing else but letters and digits.
func headings(text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}

func TestTheFirstPageIsTenMinutes(t *testing.T) {
	if lines := strings.Count(readFile(t, pages[0]), "\n"); lines > 200 {
		t.Errorf("README.md has %d lines: move what is not for newcomers to the code that it describes", lines)
	}
}

// What the page's commands install is what the typed client is tested with.
func TestThePagesCommandsInstallWhatIsTested(t *testing.T) {
	var tested struct{ DevDependencies map[string]string }
	if err := json.Unmarshal([]byte(readFile(t, "tsclient/package.json")), &tested); err != nil {
		t.Fatal(err)
	}
	installed := 0
	for _, line := range regexp.MustCompile(`(?m)^npm install .*`).FindAllString(readFile(t, "../../cmd/promfence/deploy/README.md"), -1) {
		for _, m := range regexp.MustCompile(` ([a-z][a-z0-9.-]*)(@([0-9.]+))?`).FindAllStringSubmatch(strings.TrimPrefix(line, "npm install"), -1) {
			installed++
			if name, version := m[1], m[3]; version == "" || !strings.HasPrefix(tested.DevDependencies[name]+".", version+".") {
				t.Errorf("%s: the page installs %q, the test %q", name, version, tested.DevDependencies[name])
			}
		}
	}
	if installed < 5 {
		t.Errorf("only %d packages were found", installed)
	}
}

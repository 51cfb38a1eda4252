package upstream

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// A Target is something that Prometheus scrapes.
type Target struct {
	Job     string
	Metrics string            // what it exposes, in the text format
	Labels  map[string]string // its labels, among them the tenant's
	Address string            // of what the test exposes itself; Metrics is unused then
}

// configuration spells the server's configuration file.
func configuration(t testing.TB, o Options) string {
	t.Helper()
	type (
		static struct {
			Targets []string          `yaml:"targets"`
			Labels  map[string]string `yaml:"labels,omitempty"`
		}
		scrape struct {
			JobName string   `yaml:"job_name"`
			Static  []static `yaml:"static_configs"`
		}
	)
	jobs := []*scrape{}
	byName := map[string]*scrape{}
	for _, target := range o.Targets {
		job := byName[target.Job]
		if job == nil {
			job = &scrape{JobName: target.Job}
			byName[target.Job] = job
			jobs = append(jobs, job)
		}
		address := target.Address
		if address == "" {
			address = Expose(t, target.Metrics)
		}
		job.Static = append(job.Static, static{[]string{address}, target.Labels})
	}
	sections := map[string]any{
		"global":         map[string]any{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
		"rule_files":     []string{"*.rules.yml"},
		"scrape_configs": jobs,
		"storage": map[string]any{
			"tsdb":      map[string]any{"out_of_order_time_window": "12h"}, // Load may bring the past after the present.
			"exemplars": map[string]any{"max_exemplars": 10_000},
		},
	}
	if err := yaml.Unmarshal([]byte(o.Config), &sections); err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(sections)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Expose serves a text for scraping and returns host:port, for a target that
// several servers scrape.
func Expose(t testing.TB, text string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

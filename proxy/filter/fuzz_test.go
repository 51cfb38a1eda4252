package filter_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// fuzzFilter holds a filter's promise for any answer: what it writes is a
// complete answer in which show finds nothing of anybody else's, or it fails and
// what it wrote does not parse.
func fuzzFilter(f *testing.F, name string, v view, show func(t *testing.T, data any)) {
	for _, answer := range answers {
		f.Add([]byte(answer))
		f.Add([]byte(strings.ReplaceAll(answer, "beta-MARKER", "acme")))
	}
	f.Add([]byte(answers[name] + " "))
	f.Add([]byte(answers[name][:len(answers[name])-1]))
	f.Add([]byte(strings.ReplaceAll(answers[name], `"labels"`, `"l\u0061bels"`)))
	f.Add([]byte(strings.ReplaceAll(answers[name], `"acme"`, `["acme"]`)))
	f.Fuzz(func(t *testing.T, answer []byte) {
		var out strings.Builder
		err := filters[name](&out, strings.NewReader(string(answer)), v)
		var got struct {
			Status   string   `json:"status"`
			Data     any      `json:"data"`
			Warnings []string `json:"warnings"`
		}
		if err != nil {
			if json.Valid([]byte(out.String())) {
				t.Fatalf("failed with %v after a complete answer", err)
			}
			return
		}
		dec := json.NewDecoder(strings.NewReader(out.String()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&got); err != nil || dec.More() || got.Status != "success" {
			t.Fatalf("wrote %q: %v", out.String(), err)
		}
		show(t, got.Data)
	})
}

// mine fails unless a label set is acme's.
func mine(t *testing.T, labels any) {
	t.Helper()
	if set, ok := labels.(map[string]any); !ok || set["tenant_id"] != "acme" {
		t.Fatalf("labels %v", labels)
	}
}

func only(t *testing.T, object any, names ...string) map[string]any {
	t.Helper()
	members, ok := object.(map[string]any)
	if !ok {
		t.Fatalf("%v is not an object", object)
	}
next:
	for name := range members {
		for _, n := range names {
			if n == name {
				continue next
			}
		}
		t.Fatalf("member %q passed", name)
	}
	return members
}

func list(t *testing.T, v any) []any {
	t.Helper()
	vs, ok := v.([]any)
	if !ok && v != nil {
		t.Fatalf("%v is not a list", v)
	}
	return vs
}

func FuzzFilterRules(f *testing.F) {
	fuzzFilter(f, "rules", acme(f), func(t *testing.T, data any) {
		eachRule(t, data, func(rule map[string]any) {
			mine(t, rule["labels"])
		})
	})
}

func FuzzFilterSharedRules(f *testing.F) {
	v := acme(f)
	v.SharedRules = true
	fuzzFilter(f, "rules", v, func(t *testing.T, data any) {
		eachRule(t, data, func(rule map[string]any) {
			labels, _ := rule["labels"].(map[string]any)
			if _, ok := labels["tenant_id"]; ok {
				mine(t, labels)
				return
			}
			only(t, rule, "name", "query", "duration", "keepFiringFor", "labels", "annotations", "type",
				"alerts", "state", "health", "evaluationTime", "lastEvaluation")
			if e, ok := rule["evaluationTime"]; ok && e != 0.0 {
				t.Fatalf("evaluation time %v of a shared rule", e)
			}
		})
	})
}

func eachRule(t *testing.T, data any, check func(rule map[string]any)) {
	t.Helper()
	for _, g := range list(t, only(t, data, "groups", "groupNextToken")["groups"]) {
		group := only(t, g, "name", "file", "rules", "interval", "limit", "evaluationTime", "lastEvaluation", "partialResponseStrategy")
		rules := list(t, group["rules"])
		if len(rules) == 0 {
			t.Fatal("a group without a visible rule")
		}
		for _, r := range rules {
			rule, ok := r.(map[string]any)
			if !ok {
				t.Fatalf("rule %v", r)
			}
			check(rule)
			for _, alert := range list(t, rule["alerts"]) {
				mine(t, alert.(map[string]any)["labels"])
			}
		}
	}
}

func FuzzFilterAlerts(f *testing.F) {
	fuzzFilter(f, "alerts", acme(f), func(t *testing.T, data any) {
		for _, alert := range list(t, only(t, data, "alerts")["alerts"]) {
			mine(t, alert.(map[string]any)["labels"])
		}
	})
}

func FuzzFilterTargets(f *testing.F) {
	fuzzFilter(f, "targets", acme(f), func(t *testing.T, data any) {
		members := only(t, data, "activeTargets", "droppedTargets", "droppedTargetCounts")
		for _, target := range list(t, members["activeTargets"]) {
			mine(t, target.(map[string]any)["labels"])
		}
		switch dropped := members["droppedTargets"].(type) {
		case nil:
		case []any:
			if len(dropped) > 0 {
				t.Fatalf("dropped targets %v", dropped)
			}
		case map[string]any:
			only(t, dropped)
		default:
			t.Fatalf("dropped targets %v", dropped)
		}
	})
}

func FuzzFilterTargetsMetadata(f *testing.F) {
	fuzzFilter(f, "targets/metadata", acme(f), func(t *testing.T, data any) {
		for _, entry := range list(t, data) {
			mine(t, entry.(map[string]any)["target"])
		}
	})
}

func FuzzFilterMetadata(f *testing.F) {
	fuzzFilter(f, "metadata", answerView(f), func(t *testing.T, data any) {
		for _, entry := range list(t, only(t, data, "up")["up"]) {
			members := only(t, entry, "type", "help", "unit")
			if members["help"] != "" || members["unit"] != "" {
				t.Fatalf("free text in %v", members)
			}
		}
	})
}

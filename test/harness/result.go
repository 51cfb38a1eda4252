package harness

import (
	"encoding/json"
	"slices"
	"testing"
)

// Result is an answer's data as a sorted list of its elements, or of what it is
// as a whole.
func Result(t testing.TB, body string) []string {
	t.Helper()
	var answer struct {
		Status string
		Data   json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%v: %s", err, body)
	}
	var query struct {
		ResultType string
		Result     json.RawMessage
	}
	if json.Unmarshal(answer.Data, &query) == nil && query.ResultType != "" {
		if query.ResultType == "scalar" {
			return []string{string(query.Result)}
		}
		answer.Data = query.Result
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(answer.Data, &elements); err != nil {
		return []string{string(answer.Data)}
	}
	var all []string
	for _, e := range elements {
		all = append(all, canonical(t, e))
	}
	slices.Sort(all)
	return all
}

// canonical spells JSON with its members in order.
func canonical(t testing.TB, raw json.RawMessage) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

package filter_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzFilterExemplars: whatever the upstream answers, each element that comes
// out is one of its elements, but for blanks and for what is no UTF-8, and every
// reader of it, also one that takes the first of two members, finds that its
// series is acme's.
func FuzzFilterExemplars(f *testing.F) {
	own, beta := ownExemplars, betaExemplars
	for _, answer := range []string{
		answers["query_exemplars"], data("null"), data("[" + beta + "]"), data("[" + own + " , \n" + own + "]"),
		data("[" + strings.Replace(own, `"exemplars"`, `"seriesLabels":{"tenant_id":"beta"},"exemplars"`, 1) + "]"),
		data("[" + strings.Replace(own, `"tenant_id"`, `"tenant_id":"beta","tenant_\u0069d"`, 1) + "]"),
		data("[" + strings.Replace(own, `"acme"`, `"acm\u0065"`, 1) + "," + strings.Replace(own, `"acme"`, `"acme\u0000"`, 1) + "]"),
		data("[" + strings.Replace(own, "timestamp", "times\x90amp", 1) + "]"),
		data("[" + strings.Replace(own, `"acme"`, `["acme"]`, 1) + ",{},[" + beta + "]]"),
		strings.Replace(answers["query_exemplars"], `}]}`, `}],"data":[`+beta+`]}`, 1),
		answers["query_exemplars"][:len(answers["query_exemplars"])-9],
	} {
		f.Add([]byte(answer))
	}
	v := acme(f)
	f.Fuzz(func(t *testing.T, answer []byte) {
		var out strings.Builder
		if err := filters["query_exemplars"](&out, bytes.NewReader(answer), v); err != nil {
			if json.Valid([]byte(out.String())) {
				t.Fatalf("failed with %v after a complete answer", err)
			}
			return
		}
		envelope := members(t, []byte(out.String()))
		for _, m := range envelope {
			switch {
			case m.name != "data" && m.name != "status" && m.name != "warnings" && m.name != "infos":
				t.Fatalf("%q in the envelope", m.name)
			case m.name == "data":
				checkExemplars(t, answer, m.value)
			}
		}
		if !json.Valid([]byte(out.String())) {
			t.Fatalf("wrote %q", out.String())
		}
	})
}

// squeezed is a text without blanks, mended where it is no UTF-8.
func squeezed(b []byte) []byte {
	return bytes.Join(bytes.Fields(bytes.ToValidUTF8(b, []byte("\uFFFD"))), nil)
}

func checkExemplars(t *testing.T, answer, data []byte) {
	t.Helper()
	var elements []json.RawMessage
	if err := json.Unmarshal(data, &elements); err != nil {
		t.Fatal(err)
	}
	for _, e := range elements {
		if !bytes.Contains(squeezed(answer), squeezed(e)) {
			t.Errorf("%s is not the upstream's", e)
		}
		proven := false
		for _, m := range members(t, e) {
			if m.name != "seriesLabels" {
				continue
			}
			for _, label := range members(t, m.value) {
				if label.name != "tenant_id" {
					continue
				}
				if proven = decoded(t, label.value) == "acme"; !proven {
					t.Errorf("%s is somebody else's to some reader", e)
				}
			}
		}
		if !proven {
			t.Errorf("%s is nobody's", e)
		}
	}
}

func decoded(t *testing.T, value []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(value, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

type member struct {
	name  string
	value json.RawMessage
}

// members are those of an object, with the ones that have the same name.
func members(t *testing.T, object []byte) []member {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(object))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		t.Fatalf("%s is not an object", object)
	}
	var ms []member
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		m := member{name: name.(string)}
		if err := dec.Decode(&m.value); err != nil {
			t.Fatal(err)
		}
		ms = append(ms, m)
	}
	return ms
}

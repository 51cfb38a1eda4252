package answer

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAWarningIsAdded(t *testing.T) {
	const ours = `a "b" matches none`
	const text = `"a \"b\" matches none"`
	data := `"data":{"warnings":["x"],"result":[{"metric":{"a":"},{","warnings":"\\"},"value":[1,"2"]},"warnings",":"]}`
	for _, tt := range []struct{ name, body, want string }{
		{"no warnings", `{"status":"success",` + data + `}`, `{"status":"success",` + data + `,"warnings":[` + text + `]}`},
		{"a line break at the end", "{" + data + "}\n", "{" + data + `,"warnings":[` + text + "]}\n"},
		{"some", `{` + data + `,"warnings":["w","v"],"infos":["i"]}`, `{` + data + `,"warnings":[` + text + `,"w","v"],"infos":["i"]}`},
		{"some before the data", `{"warnings":["w"],` + data + `}`, `{"warnings":[` + text + `,"w"],` + data + `}`},
		{"spaces", `{ "warnings" : [ "w" ] }`, `{ "warnings" : [ ` + text + `,"w" ] }`},
		{"an empty array", `{"warnings":[ ],` + data + `}`, `{"warnings":[ ` + text + `],` + data + `}`},
		{"null", `{"warnings": null,` + data + `}`, `{"warnings": [` + text + `],` + data + `}`},
		{"null at the end", `{"warnings":null}`, `{"warnings":[` + text + `]}`},
		{"a name in escapes", `{"\u0077\u0061\u0072\u006e\u0069\u006e\u0067\u0073":["w"]}`, `{"\u0077\u0061\u0072\u006e\u0069\u006e\u0067\u0073":[` + text + `,"w"]}`},
		{"a longer name", `{"warningsx":["w"]}`, `{"warningsx":["w"],"warnings":[` + text + `]}`},
		{"infos only", `{"infos":["warnings"]}`, `{"infos":["warnings"],"warnings":[` + text + `]}`},
		{"a text of that name", `{"warnings":"w"}`, `{"warnings":"w"}`},
		{"an empty object", `{}`, `{"warnings":[` + text + `]}`},
	} {
		for how, src := range map[string]io.Reader{
			"at once": strings.NewReader(tt.body), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.body)),
			"in steps": &ladder{r: strings.NewReader(tt.body)}, "with the end": iotest.DataErrReader(strings.NewReader(tt.body)),
		} {
			got, err := io.ReadAll(newWarner(src, ours))
			if err != nil || string(got) != tt.want || !json.Valid(got) {
				t.Errorf("%s, %s: %s, %v\nwant %s", tt.name, how, got, err, tt.want)
			}
			small, err := io.ReadAll(iotest.OneByteReader(newWarner(strings.NewReader(tt.body), ours)))
			if err != nil || string(small) != tt.want {
				t.Errorf("%s, read byte by byte: %s, %v", tt.name, small, err)
			}
		}
	}
}

// Its length is no longer announced, so an answer that ends too early must not look whole.
func TestAWarningIsNotTheEndOfAnAnswerThatWasCut(t *testing.T) {
	const whole = `{"status":"success","data":["a"],"warnings":["w"]}`
	for i := range len(whole) {
		if got, err := io.ReadAll(newWarner(strings.NewReader(whole[:i]), "x")); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %s, %v", whole[:i], got, err)
		}
	}
	broken := errors.New("broken")
	if _, err := io.ReadAll(newWarner(io.MultiReader(strings.NewReader(whole[:20]), iotest.ErrReader(broken)), "x")); !errors.Is(err, broken) {
		t.Errorf("a broken source: %v", err)
	}
}

// An answer streams through: what has come goes out, and no more of it is held.
func TestAWarningHoldsNothingBack(t *testing.T) {
	r, w := io.Pipe()
	defer func() { _ = r.Close() }()
	added := newWarner(r, "x")
	parts := []string{`{"status":"success","data":{"result":[`, strings.Repeat(`{"metric":{},"value":[1,"2"]},`, 1000), `1]}`}
	buf := make([]byte, 64<<10)
	for _, part := range parts {
		go func() { _, _ = io.WriteString(w, part) }()
		got := 0
		for got < len(part) {
			n, err := added.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
		if got != len(part) || cap(added.out) > 4*warnerChunk {
			t.Fatalf("%d bytes of %d came, and %d may be held", got, len(part), cap(added.out))
		}
	}
}

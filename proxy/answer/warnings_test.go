package answer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// A ladder is a reader that gives ever other numbers of bytes.
type ladder struct {
	r io.Reader
	n int
}

func (l *ladder) Read(p []byte) (int, error) {
	l.n = l.n%7 + 1
	return l.r.Read(p[:min(len(p), l.n)])
}

func TestWarningReader(t *testing.T) {
	const store = `receive series from Addr: 10.0.0.1:10901 LabelSets: {tenant_id=\"globex\"} MinTime: 1: rpc error`
	hidden := hiddenWarning
	tests := []struct {
		name, body string
		warnings   []string
		infos      []string
	}{
		{"none", `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b:c"},"value":[1,"2"]}]}}`, nil, nil},
		{"the engine's own", `{"status":"success","data":[],"warnings":["PromQL warning: quantile (1:5)"],"infos":["PromQL info: x"]}`, []string{"PromQL warning: quantile (1:5)"}, []string{"PromQL info: x"}},
		{"truncation", `{"data":[],"warnings":["results truncated due to limit"]}`, []string{"results truncated due to limit"}, nil},
		{"more were omitted", `{"data":[],"warnings":["12 more warning annotations omitted"]}`, []string{"12 more warning annotations omitted"}, nil},
		{"a store", `{"status":"success","data":[],"warnings":["` + store + `"]}`, []string{hidden}, nil},
		{"a store among others", `{"data":[],"warnings" : [ "PromQL warning: a \" b", "` + store + `" , "results truncated due to limit"],"infos":["` + store + `"]}`, []string{`PromQL warning: a " b`, hidden, "results truncated due to limit"}, []string{hidden}},
		{"a short text", `{"data":[],"warnings":["10.0.0.1"]}`, []string{hidden[:8]}, nil},
		{"an empty text", `{"data":[],"warnings":[""]}`, []string{""}, nil},
		{"just as long", `{"data":[],"warnings":["` + strings.Repeat("x", len(hidden)) + `"]}`, []string{hidden}, nil},
		{"one longer", `{"data":[],"warnings":["` + strings.Repeat("x", len(hidden)+1) + `"]}`, []string{hidden}, nil},
		{"escapes", `{"data":[],"warnings":["\\","\"","a\\\"` + store + `"]}`, []string{"th", "th", hidden}, nil},
		{"keys in escapes", `{"data":[],"warn\u0069ng\u0073":["` + store + `"],"info\u0073" : ["` + store + `"]}`, []string{hidden}, []string{hidden}},
		{"a key all in escapes", `{"data":[],"\u0077\u0061\u0072\u006e\u0069\u006e\u0067\u0073":["` + store + `"]}`, []string{hidden}, nil},
		{"before the data", `{"warnings":["` + store + `"],"data":[]}`, []string{hidden}, nil},
		{"null", `{"data":[],"warnings":null}`, nil, nil},
	}
	for _, tt := range tests {
		readers := map[string]io.Reader{
			"at once": strings.NewReader(tt.body), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.body)),
			"in steps": &ladder{r: strings.NewReader(tt.body)}, "with the end": iotest.DataErrReader(strings.NewReader(tt.body)),
		}
		for how, r := range readers {
			t.Run(tt.name+"/"+how, func(t *testing.T) {
				got, err := io.ReadAll(&Warnings{src: r})
				if err != nil {
					t.Fatal(err)
				}
				var answer struct{ Warnings, Infos []string }
				if err := json.Unmarshal(got, &answer); err != nil {
					t.Fatalf("%v: %s", err, got)
				}
				if diff := cmp.Diff(tt.warnings, answer.Warnings); diff != "" {
					t.Errorf("warnings (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.infos, answer.Infos); diff != "" {
					t.Errorf("infos (-want +got):\n%s", diff)
				}
				if len(got) != len(tt.body) || strings.Contains(string(got), "10.0.0.1:") || strings.Contains(string(got), "globex") {
					t.Errorf("got %s", got)
				}
			})
		}
	}
}

func TestWarningReaderLeavesLabelsAlone(t *testing.T) {
	const body = `{"status":"success","data":{"result":[{"metric":{"warnings":"10.0.0.1","infos":"x","error":"y"},"value":[1,"2"]}]}}` + "\n" + `["warnings","infos"]`
	got, err := io.ReadAll(&Warnings{src: strings.NewReader(body)})
	if err != nil || string(got) != body {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestWarningReaderOfLines(t *testing.T) {
	const body = `{"results":[{"name":"up"}],"warnings":["store 10.0.0.1 is gone and so on"]}` + "\n" + `{"status":"error","errorType":"internal","error":"10.0.0.1 is gone"}`
	const want = `{"results":[{"name":"up"}],"warnings":["the upstream warned that this an"]}` + "\n" + `{"status":"error","errorType":"internal","error":"the upstream war"}`
	got, err := io.ReadAll(&Warnings{src: strings.NewReader(body), errors: true})
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestWarningReaderOfErrors(t *testing.T) {
	for _, body := range []string{
		`{"status":"error","errorType":"internal","error":"10.0.0.1"}`,
		`{"status":"error","errorType":"internal","err\u006f\u0072" : "10.0.0.1"}`,
		` { "status" : "error" , "error" : "10.0.0.1" } `,
		`{"error":"10.0.0.1","status":"error"}`,
		`{"data":null,"error":"10.0.0.1","status":"error"}`,
		`{"stat\u0075s":"error","error":"10.0.0.1"}`,
		`[{"error":"10.0.0.1"}]`,
	} {
		for how, r := range map[string]io.Reader{"at once": strings.NewReader(body), "byte by byte": iotest.OneByteReader(strings.NewReader(body))} {
			got, err := io.ReadAll(&Warnings{src: r})
			if want := strings.Replace(body, "10.0.0.1", hiddenWarning[:8], 1); err != nil || string(got) != want {
				t.Errorf("%s, %s: got %s, %v", body, how, got, err)
			}
		}
	}
	const body = "{\n  \"status\": \"success\",\n  \"data\": {\"result\": [{\"metric\": {\"error\": \"timeout\"}}]}}"
	if got, err := io.ReadAll(&Warnings{src: strings.NewReader(body)}); err != nil || string(got) != body {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestWarningReaderRefusesOtherShapes(t *testing.T) {
	_, err := io.ReadAll(&Warnings{src: strings.NewReader(`{"warnings":[{"store":"10.0.0.1"}]}`)})
	if !errors.Is(err, errUnfiltered) {
		t.Errorf("got %v", err)
	}
}

// An answer that ends within a text is none, whatever its frame said: what was
// held back of it does not go missing in silence.
func TestAnAnswerThatEndsWithinATextIsCutShort(t *testing.T) {
	const body = `{"status":"success","data":[],"warnings":["sto`
	for _, src := range []io.Reader{strings.NewReader(body), iotest.DataErrReader(strings.NewReader(body)), iotest.OneByteReader(strings.NewReader(body))} {
		got, err := io.ReadAll(&Warnings{src: src})
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s, %v", got, err)
		}
	}
}

// FuzzWarningReader: however an answer is cut into reads and its key is spelled,
// what comes out is the same, as long, and without the text that must not pass.
func FuzzWarningReader(f *testing.F) {
	f.Add("warnings", "secret text", 3, uint64(0), "success")
	f.Add("infos", `\"secret`, 1, uint64(1), "success")
	f.Add("error", "secret text", 2, uint64(1<<4), "error")
	f.Fuzz(func(t *testing.T, key, text string, step int, escaped uint64, status string) {
		k, v, s := spelled(key, escaped), spelled(text, 0), spelled(status, 0)
		body := `{"status":` + s + `,"data":[1,{"a":"b"}],` + k + `:["x` + v[1:] + `],"z":1}`
		if key == "error" {
			body = `{"status":` + s + `,"data":[1,{"a":"b"}],` + k + `:"x` + v[1:] + `,"z":1}`
		}
		whole, err := io.ReadAll(&Warnings{src: strings.NewReader(body)})
		if err != nil || len(whole) != len(body) || !json.Valid(whole) {
			t.Fatalf("%s became %s, %v", body, whole, err)
		}
		cut, err := io.ReadAll(&Warnings{src: &ladder{strings.NewReader(body), step & 7}})
		if err != nil || string(cut) != string(whole) {
			t.Errorf("%s, cut: %s, %v", whole, cut, err)
		}
		looked := key == "warnings" || key == "infos" || key == "error" && status != "success"
		if !looked && string(whole) != body {
			t.Errorf("%s became %s", body, whole)
		}
		if looked && string(whole) == body && !strings.HasPrefix(hiddenWarning, "x"+text) {
			t.Errorf("%s passed", body)
		}
	})
}

// spelled is s as JSON, with some of its first letters in escapes.
func spelled(s string, escaped uint64) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, c := range []rune(s) {
		text, _ := json.Marshal(string(c))
		if i < 64 && escaped>>i&1 == 1 && c < 0x10000 {
			text = fmt.Appendf(nil, `"\u%04x"`, c)
		}
		b.Write(text[1 : len(text)-1])
	}
	b.WriteByte('"')
	return b.String()
}

func BenchmarkWarningReader(b *testing.B) {
	var sb strings.Builder
	sb.WriteString(`{"status":"success","data":{"resultType":"matrix","result":[`)
	for range 100 {
		sb.WriteString(`{"metric":{"__name__":"up","instance":"host:9090","job":"node","tenant_id":"acme"},"values":[[1700000000,"123.45"]`)
		sb.WriteString(strings.Repeat(`,[1700000015,"123.45"]`, 500))
		sb.WriteString(`]},`)
	}
	body := sb.String()
	b.SetBytes(int64(len(body)))
	buf := make([]byte, 128<<10)
	for b.Loop() {
		w := Warnings{src: strings.NewReader(body)}
		for {
			if _, err := w.Read(buf); err != nil {
				break
			}
		}
	}
}

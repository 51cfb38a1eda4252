package filter_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/promfence/promfence/proxy/filter"
)

var scanned = []string{
	`{}`, `[]`, `""`, `0`, `-0`, `-1.5e+10`, `1E5`, `0.0`, `true`, `false`, `null`, ` [1 , {"a" : [ ] , "b":{}} ] `,
	`{"a":1,"a":{"b":[[],[{}]]}}`, `"\"\\\/\b\f\n\r\t\u00e9\uD83D\ude00\ud800"`, "\"caf\xc3\"", "\"\x7f\"", `[[[[1]]],{"x":"y"}]`,
	``, ` `, `{`, `}`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{1:2}`, `[1 2]`, `[1}`, `{"a":1]`, `[1]]`, `nul`, `nulll`, `tru e`,
	`01`, `1.`, `.5`, `1e`, `1e+`, `+1`, `--1`, `-`, `0x1`, `NaN`, `1.5.5`, `"`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\n\"", "\"\x00\"", `'a'`,
	"\ufeff{}", `{"a":1}{}`, `[] x`, `{"a" 1}`, `{"a":"b" "c":1}`, "[1\v]", `{"\u0061":1}`, `[1,2,{"a":[3,{"b":null}]}`, `-a`, `1e5e5`, `"\u+123"`,
}

// FuzzScanner: the scanner takes what encoding/json takes, and jsontext when it
// does not look at duplicates and UTF-8; it keeps these very bytes, wherever the
// stream is cut into pieces.
func FuzzScanner(f *testing.F) {
	for _, text := range scanned {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want := json.Valid(text)
		if lax := jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); lax != want && strings.Count(string(text), "[")+strings.Count(string(text), "{") < 10_000 {
			t.Skip("the two disagree")
		}
		if bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) >= 10_000 {
			t.Skip("beyond the depth of the others")
		}
		for what, src := range map[string]io.Reader{
			"whole": bytes.NewReader(text), "by the byte": iotest.OneByteReader(bytes.NewReader(text)), "with its end": iotest.DataErrReader(bytes.NewReader(text)),
		} {
			got, err := filter.ScanValue(src)
			if (err == nil) != want {
				t.Fatalf("%s: %q: %v, want valid: %v", what, text, err, want)
			}
			if err == nil && !bytes.Equal(got, bytes.Trim(text, " \t\r\n")) {
				t.Fatalf("%s: kept %q of %q", what, got, text)
			}
		}
	})
}

// FuzzScannerText: a string means what encoding/json says it means, but for halves
// of characters and bytes that are no UTF-8, which mean nothing that is text.
func FuzzScannerText(f *testing.F) {
	for _, text := range scanned {
		f.Add([]byte(text), 1000)
	}
	f.Add([]byte(`"\ud83d\ud83d\ude00"`), 3)
	f.Add([]byte("\"\xed\xa0\xbd\\ude00\""), 30)
	f.Fuzz(func(t *testing.T, text []byte, limit int) {
		if text = bytes.TrimSpace(text); !json.Valid(text) || text[0] != '"' {
			return
		}
		var want string
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		got, whole, err := filter.ScanText(iotest.HalfReader(bytes.NewReader(text)), limit)
		switch {
		case err != nil:
			t.Fatalf("%q: %v", text, err)
		case !whole && (got != "" || len(want)+4 <= limit):
			t.Fatalf("%q within %d: %q, not whole", text, limit, got)
		case whole && (len(got) > limit || strings.ToValidUTF8(got, "") != strings.ReplaceAll(want, "\uFFFD", "") && !strings.Contains(string(text), "\uFFFD") && !strings.Contains(strings.ToLower(string(text)), `fffd`)):
			t.Fatalf("%q: %q, want %q", text, got, want)
		}
	})
}

func TestHalfACharacterEqualsNoName(t *testing.T) {
	for text, want := range map[string]bool{
		`"\ud83d\ude00"`: true, `"😀"`: true,
		`"\ud83d"`: false, `"\ude00\ud83d"`: false, "\"\xed\xa0\xbd\\ude00\"": false, `"\ud83d` + "\xed\xb8\x80\"": false,
	} {
		if got, _, err := filter.ScanText(strings.NewReader(text), 100); err != nil || (got == "😀") != want {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
}

func TestScannerBoundsItsDepth(t *testing.T) {
	collectSeldom(t)
	for depth, want := range map[int]string{20_000: "", filter.MaxDepth: "", filter.MaxDepth + 1: "brackets open"} {
		text := io.MultiReader(io.LimitReader(&repeat{s: strings.Repeat("[", 4096)}, int64(depth)), strings.NewReader("1"), io.LimitReader(&repeat{s: strings.Repeat("]", 4096)}, int64(depth)))
		_, err := filter.ScanValue(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d: %v", depth, err)
		}
	}
}

func TestScannerGivesUpOnAReaderThatReadsNothing(t *testing.T) {
	if _, err := filter.ScanValue(nothing{}); err == nil {
		t.Error("no error")
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

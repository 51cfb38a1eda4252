package answer_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/promfence/promfence/proxy/answer"
)

// broken is a body that breaks off.
func broken(begun string) io.ReadCloser {
	return io.NopCloser(io.MultiReader(strings.NewReader(begun), iotest.ErrReader(io.ErrUnexpectedEOF)))
}

func TestAnAnswerThatBreaksOffAtOnceIsAnError(t *testing.T) {
	long := strings.Repeat("x", 6<<10)
	for name, tt := range map[string]struct {
		body   io.ReadCloser
		length int64
		ok     bool
	}{
		"whole":                           {io.NopCloser(strings.NewReader("{}")), 2, true},
		"whole, its end with it":          {io.NopCloser(iotest.DataErrReader(strings.NewReader("{}"))), 2, true},
		"whole, byte by byte":             {io.NopCloser(iotest.OneByteReader(strings.NewReader(long))), int64(len(long)), true},
		"whole, of any length":            {io.NopCloser(strings.NewReader("{}")), -1, true},
		"nothing, of any length":          {io.NopCloser(strings.NewReader("")), -1, true},
		"nothing":                         {http.NoBody, 0, true},
		"broken off at once":              {broken(""), 10, false},
		"broken off at once, any length":  {broken(""), -1, false},
		"broken off soon":                 {broken("{"), 10, false},
		"broken off before anything left": {broken(long[:4096]), 10 << 10, false},
		"shorter than it says":            {io.NopCloser(strings.NewReader("{")), 2, false},
		"shorter, its end with it":        {io.NopCloser(iotest.DataErrReader(strings.NewReader("{"))), 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			resp := &http.Response{ContentLength: tt.length, Body: tt.body}
			err := answer.Hold(resp)
			if (err == nil) != tt.ok {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || tt.length >= 0 && int64(len(got)) != tt.length {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}

// What has begun to leave breaks off visibly, later.
func TestAnAnswerThatBreaksOffLaterDoesSo(t *testing.T) {
	for name, resp := range map[string]*http.Response{
		"of a length":    {ContentLength: 20 << 10, Body: broken(strings.Repeat("x", 10<<10))},
		"without length": {ContentLength: -1, Body: broken("{")},
	} {
		if err := answer.Hold(resp); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || len(got) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// An answer that ends with its connection says nowhere that it is whole.
func TestJSONWithoutALengthIsWholeOrBroken(t *testing.T) {
	const body = `{"status":"success","data":{"result":[{"metric":{"a":"}\\\"]"},"value":[1,"2"]}]}}`
	for n := range len(body) + 1 {
		for name, length := range map[string]int64{"none": -1, "chunks": -1, "a length": int64(n)} {
			resp := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: length, Body: io.NopCloser(strings.NewReader(body[:n]))}
			if name == "chunks" {
				resp.TransferEncoding = []string{"chunked"}
			}
			if err := new(answer.Warnings).Hide(resp, false, ""); err != nil {
				t.Fatal(err)
			}
			_, err := io.ReadAll(resp.Body)
			if cut := name == "none" && n < len(body); (err != nil) != cut {
				t.Errorf("length %s, %d bytes of %d: %v", name, n, len(body), err)
			}
		}
	}
}

package answer_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/promfence/promfence/proxy/answer"
	"github.com/promfence/promfence/proxy/filter"
)

// ended is a body that tells when it is closed.
type ended struct {
	io.Reader
	closed bool
}

func (b *ended) Close() error { b.closed = true; return nil }

// filtered runs a filter over an answer, and returns what its caller gets.
func filtered(t *testing.T, header http.Header, body string, f filter.Filter) (got string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://upstream", nil)
	if err != nil {
		t.Fatal(err)
	}
	src := &ended{Reader: strings.NewReader(body)}
	resp := &http.Response{StatusCode: http.StatusOK, Header: header, Body: src, Request: r}
	var ctx context.Context
	err = answer.Filter(resp, false, f, func(c context.Context) filter.View {
		ctx = c
		return filter.View{}
	})
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(resp.Body)
	if ctx.Err() != nil {
		t.Error("the view's context has ended before the body")
	}
	_ = resp.Body.Close()
	if ctx.Err() == nil || !src.closed {
		t.Errorf("the view's context: %v; the upstream's body is closed: %v", ctx.Err(), src.closed)
	}
	return string(text), err
}

func upper(_ filter.View, dst io.Writer, src io.Reader) error {
	text, err := io.ReadAll(src)
	if err == nil {
		_, err = io.WriteString(dst, strings.ToUpper(string(text)))
	}
	return err
}

func TestFilterReplacesTheBody(t *testing.T) {
	header := http.Header{"Content-Type": {"text/plain"}, "Content-Length": {"3"}, "Content-Encoding": {"identity"}}
	got, err := filtered(t, header, "abc", upper)
	if got != "ABC" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if header.Get("Content-Type") != "application/json" || header.Get("Content-Length") != "3" || header["Content-Encoding"] != nil {
		t.Errorf("the header: %v", header)
	}
}

func TestWhatCannotBeFilteredIsNotDelivered(t *testing.T) {
	secret := errors.New("secret")
	for name, tt := range map[string]struct {
		header http.Header
		filter filter.Filter
	}{
		"a page":           {http.Header{"Content-Type": {"text/html"}}, upper},
		"an odd encoding":  {http.Header{"Content-Encoding": {"br"}}, upper},
		"no gzip":          {http.Header{"Content-Encoding": {"gzip"}}, upper},
		"a filter's error": {http.Header{}, func(_ filter.View, _ io.Writer, _ io.Reader) error { return secret }},
		"a panic":          {http.Header{}, func(filter.View, io.Writer, io.Reader) error { panic("secret") }},
		"a late error": {http.Header{}, func(_ filter.View, dst io.Writer, _ io.Reader) error {
			_, _ = io.WriteString(dst, "half")
			return secret
		}},
		"a panic in the end": {http.Header{}, func(_ filter.View, dst io.Writer, _ io.Reader) error {
			_, _ = io.WriteString(dst, "half")
			panic("secret")
		}},
	} {
		got, err := filtered(t, tt.header, "abc", tt.filter)
		if err == nil || got != "" || !errors.Is(err, answer.ErrUnfiltered) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

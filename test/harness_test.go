package test_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/promfence/promfence/test/contract"
)

// fetch GETs an address with parameters as a caller with a token would.
func fetch(t *testing.T, address, token string, params url.Values) (status int, body string) {
	t.Helper()
	got := send(t, http.MethodGet, address, token, params)
	return got.status, got.body
}

// A reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// send makes a request with its parameters in the URL of a GET and in the body
// of a POST.
func send(t *testing.T, method, address, token string, params url.Values) reply {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(params.Encode())
	} else if len(params) > 0 {
		address += "?" + params.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) reply {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("X-Request-Id") != "" { // it is promfence's
		// Only the answer: these tests send what no documented client would.
		contract.CheckAnswer(t, req, resp, body)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

// form makes parameters of pairs.
func form(pairs ...string) url.Values {
	all := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		all.Add(pairs[i], pairs[i+1])
	}
	return all
}

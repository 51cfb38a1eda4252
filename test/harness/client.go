// Package harness is what the tests share: a client that holds every answer
// against the API's document, and a world of two Prometheus servers, one with the
// data of the tenant acme alone and one with everybody's.
//
// Its rooms start what stands around the client: fence runs promfence, upstream a
// Prometheus or a stub, thanos a Thanos; contract reads the API's document,
// compare spells answers so that they can be compared, gobuild compiles programs.
package harness

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/promfence/promfence/test/harness/contract"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A Reply is an answer that was read to its end.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Fetch gets an address with parameters in its URL, and with a token if there is
// one.
func Fetch(t testing.TB, address, token string, params url.Values) (status int, body string) {
	t.Helper()
	got := Send(t, http.MethodGet, address, token, params)
	return got.Status, got.Body
}

// Send makes a request with its parameters in the URL of a GET and in the body
// of a POST.
func Send(t testing.TB, method, address, token string, params url.Values) Reply {
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
	return Do(t, req)
}

// Do sends a request and reads the answer. An answer of promfence must be as
// documented; the request may be one that no documented client would send.
func Do(t testing.TB, req *http.Request) Reply {
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
	if resp.Header.Get("X-Request-Id") != "" { // only promfence sets one
		contract.CheckAnswer(t, req, resp, body)
	}
	return Reply{resp.StatusCode, resp.Header, string(body)}
}

// Form makes parameters of pairs.
func Form(pairs ...string) url.Values {
	all := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		all.Add(pairs[i], pairs[i+1])
	}
	return all
}

// WriteFile writes a file that the program is to read.
func WriteFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// EmptyVector is the answer to a query that selects nothing.
const EmptyVector = `{"status":"success","data":{"resultType":"vector","result":[]}}`

// Answering is an upstream that gives an EmptyVector to everything.
func Answering(t testing.TB) *upstream.Recorder {
	t.Helper()
	return upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, EmptyVector)
	}))
}

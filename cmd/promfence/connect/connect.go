// Package connect asks an upstream what it is, for promfence check --connect, and what
// its query engine can do.
//
// It stops one threat: settings that are valid and name the wrong server, which
// tenants would notice as empty panels or as an outage. No caller's request comes
// here. Of the upstream's data the package reports one number: how many values the
// tenant label has. The upstream is asked as promfence asks it, with its certificates and credentials, through no
// proxy and to no address that it redirects to.
package connect

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// askTimeout bounds one question, from the connection to the last byte.
	askTimeout = 10 * time.Second
	// maxAnswer bounds what is read of one answer.
	maxAnswer = 4 << 20
	// mostValues is how many values of the tenant label are asked for.
	mostValues = 100
)

// Upstream is the server to ask, as the settings describe it.
type Upstream struct {
	URL          *url.URL    // http, https or unix
	TLS          *tls.Config // for https
	Header       http.Header // of every request
	Label        string      // that names a series' tenant
	TenantHeader string      // "" = the upstream has no tenants of its own
}

// An Answer is what the upstream is, as far as it says so.
type Answer struct {
	Name    string // Prometheus, Thanos, Mimir or VictoriaMetrics; "" = none of these
	Version string // in its own words
	Values  int    // of the tenant label
	More    bool   // there may be more values than that
	Hidden  bool   // its data is shown to its own tenants only, and none was named
}

// Ask asks for the version and for the tenant label. An error is a sentence for an
// operator; the Answer beside it holds what was learned before.
func (u Upstream) Ask(ctx context.Context) (Answer, error) {
	client := u.client()
	defer client.CloseIdleConnections()
	var a Answer
	info, infoErr := u.get(ctx, client, "/api/v1/status/buildinfo", nil)
	if infoErr == nil {
		a.Name, a.Version = u.name(ctx, client, info)
	} else if !isStatus(infoErr) {
		return a, infoErr // nobody there, or somebody who speaks another language
	}
	err := u.askLabel(ctx, client, &a)
	if infoErr == nil && u.TenantHeader != "" && a.Values == 0 && (err == nil || isStatus(err)) {
		a.Hidden, err = true, nil // it wants to know which of its tenants asks
	}
	if err != nil && infoErr != nil {
		if errors.Is(err, infoErr) { // both questions met the same status
			infoErr = nil
		}
		return a, fmt.Errorf("want the URL of a Prometheus API, to which /api/v1 is added: %w", errors.Join(infoErr, err))
	}
	return a, err
}

// askLabel counts the tenant label's values.
func (u Upstream) askLabel(ctx context.Context, client *http.Client, a *Answer) error {
	found, err := u.get(ctx, client, "/api/v1/label/"+url.PathEscape(u.Label)+"/values", url.Values{"limit": {fmt.Sprint(mostValues)}})
	var values []string
	if err == nil && json.Unmarshal(found.Data, &values) != nil {
		err = errors.New("the values of a label are no list of texts there")
	}
	a.Values, a.More = len(values), len(values) >= mostValues
	return err
}

// Features are what an upstream says of its query engine at /api/v1/features.
type Features struct {
	QueryCost  bool `json:"query_cost"`  // it enforces max_series, max_samples_read and max_query_duration
	QueryStats bool `json:"query_stats"` // it may tell what a query read
}

// Features asks for them. A server that does not know the path has none.
func (u Upstream) Features(ctx context.Context) (Features, error) {
	client := u.client()
	defer client.CloseIdleConnections()
	found, err := u.get(ctx, client, "/api/v1/features", nil)
	if status, ok := errors.AsType[statusError](err); ok {
		switch int(status) {
		case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest:
			return Features{}, nil
		}
	}
	var features struct{ API Features }
	if err == nil && json.Unmarshal(found.Data, &features) != nil {
		err = errors.New("/api/v1/features: want the features of a Prometheus; what answers there is something else")
	}
	return features.API, err
}

// name tells the servers apart by what each of them says of itself.
func (u Upstream) name(ctx context.Context, client *http.Client, info reply) (name, version string) {
	var b struct{ Application, Version, Revision, GoVersion string }
	if json.Unmarshal(info.Data, &b) != nil {
		return "", ""
	}
	switch {
	case strings.Contains(b.Application, "Mimir"):
		return "Mimir", b.Version
	case info.header.Get("X-Server-Hostname") != "", b.Revision == "" && b.GoVersion == "" && b.Version != "":
		return "VictoriaMetrics", "" // its version here is that of the Prometheus whose API it has
	}
	if _, err := u.get(ctx, client, "/api/v1/stores", nil); err == nil {
		return "Thanos", b.Version
	}
	if b.GoVersion == "" {
		return "", b.Version
	}
	return "Prometheus", b.Version
}

// A reply is an answer in the form that all of Prometheus's API has.
type reply struct {
	Status string
	Data   json.RawMessage
	header http.Header
}

// A statusError is an HTTP status that is no answer.
type statusError int

func (s statusError) Error() string {
	hint := ""
	switch {
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		hint = ": want credentials that it takes, such as upstream.bearer_token_file or upstream.basic_auth_file"
	case s >= 300 && s < 400:
		hint = ": want the URL that it redirects to"
	}
	return fmt.Sprintf("answers %d %s%s", int(s), http.StatusText(int(s)), hint)
}

func isStatus(err error) bool {
	_, ok := errors.AsType[statusError](err)
	return ok
}

// get asks one question.
func (u Upstream) get(ctx context.Context, client *http.Client, path string, params url.Values) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	at := *u.URL
	if at.Scheme == "unix" {
		at = url.URL{Scheme: "http", Host: "localhost"}
	}
	at.RawQuery = params.Encode()
	at = *at.JoinPath(path)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return reply{}, err
	}
	r.Header = u.Header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "promfence")
	resp, err := client.Do(r)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return reply{}, fmt.Errorf("no answer within %s", askTimeout)
	case err != nil:
		return reply{}, fmt.Errorf("cannot be asked: %w", errors.Unwrap(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return reply{}, statusError(resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	got := reply{header: resp.Header}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return reply{}, fmt.Errorf("no whole answer within %s", askTimeout)
	case err != nil || len(body) > maxAnswer:
		return reply{}, fmt.Errorf("%s: want a whole answer of at most %d bytes", path, maxAnswer)
	case json.Unmarshal(body, &got) != nil || got.Status != "success":
		return reply{}, fmt.Errorf("%s: want Prometheus's JSON; what answers there is something else", path)
	}
	return got, nil
}

func (u Upstream) client() *http.Client {
	t := &http.Transport{TLSClientConfig: u.TLS, TLSHandshakeTimeout: askTimeout}
	if u.URL.Scheme == "unix" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", u.URL.Path)
		}
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

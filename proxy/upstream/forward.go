package upstream

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// A taker waits for the answer to a call. It is the ResponseWriter of its caller.
type taker interface {
	http.ResponseWriter

	Take(*http.Response) error
	Fail(error)
}

// Forward sends a call and hands over the answer. It is a caller's only way to the
// upstream. ReverseProxy gets a request that holds nothing: what it copies, adds or
// passes on of one (X-Forwarded-For, upgrades, informational answers) has nothing to
// work on, and Rewrite puts the call's request in its place, as it was spelled.
//
// Whom the answer goes to is the ResponseWriter of the caller, and looks at the answer
// before a byte of it leaves: Take sets the headers that the caller gets and takes all
// out of the answer, whose body it may replace. Take's error is what the caller gets
// instead. Fail answers with it, or with why there is no answer.
func (c *Client) Forward(ctx context.Context, call Call, to taker) {
	r, err := c.request(ctx, call)
	if err != nil {
		to.Fail(err)
		return
	}
	reverse := httputil.ReverseProxy{
		Rewrite:        func(p *httputil.ProxyRequest) { p.Out = r },
		Transport:      &c.transports[call.kind()],
		BufferPool:     &c.buffers,
		ModifyResponse: to.Take,
		ErrorHandler:   fail,
		ErrorLog:       noLog, // the access line has it all
	}
	shell := &http.Request{URL: nowhere}
	reverse.ServeHTTP(to, shell.WithContext(ctx))
}

// fail is the way of an error to the taker, who is the ResponseWriter, too.
func fail(to http.ResponseWriter, _ *http.Request, err error) {
	if to, ok := to.(taker); ok { // Forward hands over nothing else
		to.Fail(err)
	}
}

// Ask sends a question of promfence's own, whose answer no caller reads.
func (c *Client) Ask(ctx context.Context, call Call) (*http.Response, error) {
	r, err := c.request(ctx, call)
	if err != nil {
		return nil, err
	}
	return c.send(r, call.kind())
}

var (
	nowhere = &url.URL{}
	noLog   = log.New(io.Discard, "", 0)
)

// A transport is how ReverseProxy reaches the upstream.
type transport struct {
	client *Client
	kind   rowKind
}

// RoundTrip sends a request that Rewrite has put in its place. It hands over a copy
// of the response, so that trailers, which arrive after the headers were narrowed,
// are filled into one that nobody reads.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.client.send(r, t.kind)
	if err != nil {
		return nil, err
	}
	detached := *resp
	detached.Trailer = nil
	return &detached, nil
}

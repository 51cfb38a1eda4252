package upstream

import (
	"context"
	"io"
	"net/http"
)

// A Taker waits for the answer to a call. It is the ResponseWriter of its caller.
type Taker interface {
	http.ResponseWriter

	// Take looks at an answer before a byte of it leaves. It sets the headers that the
	// caller gets, and may replace the body. Its error is the answer that the caller
	// gets instead.
	Take(*http.Response) error

	// Fail answers with an error: Take's, or why there is no answer.
	Fail(error)
}

// Forward sends a call and hands over the answer. It is a caller's only way to the
// upstream. Of an answer nothing passes but its status, its body, and the headers that
// Take sets: no trailers, no informational answers, no other protocol.
func (c *Client) Forward(ctx context.Context, call Call, to Taker) {
	resp, err := c.Ask(ctx, call)
	if err != nil {
		to.Fail(err)
		return
	}
	raw := resp.Body
	defer raw.Close()
	if err := to.Take(resp); err != nil {
		to.Fail(err)
		return
	}
	to.WriteHeader(resp.StatusCode)
	if err := c.copyBody(to, resp); err != nil {
		panic(http.ErrAbortHandler) // only a connection that breaks tells the caller
	}
}

// copyBody hands over a body part by part. Parts of an answer without a length leave
// at once: its upstream may pause between them.
func (c *Client) copyBody(to http.ResponseWriter, resp *http.Response) error {
	defer resp.Body.Close()
	buf := c.buffers.Get()
	defer c.buffers.Put(buf)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF { // nothing that wraps it: that is an answer which broke off
			return nil
		}
		if err != nil {
			return err
		}
		if n > 0 && resp.ContentLength < 0 {
			_ = http.NewResponseController(to).Flush() // the next write says what is wrong
		}
	}
}

// Ask sends a question of promfence's own, whose answer no caller reads.
func (c *Client) Ask(ctx context.Context, call Call) (*http.Response, error) {
	r, err := c.request(ctx, call)
	if err != nil {
		return nil, err
	}
	return c.send(r, call.Kind)
}

package attack_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An h2 is an HTTP/2 connection on which a test writes frames as it likes.
type h2 struct {
	*http2.Framer
	conn  net.Conn
	block bytes.Buffer
	enc   *hpack.Encoder
}

// dialH2 connects by prior knowledge and says hello.
func dialH2(t *testing.T, addr string) *h2 {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	c := &h2{Framer: http2.NewFramer(conn, conn), conn: conn}
	c.AllowIllegalWrites = true
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.enc = hpack.NewEncoder(&c.block)
	_, _ = conn.Write([]byte(http2.ClientPreface))
	_ = c.WriteSettings()
	return c
}

// encode makes a header block of lines "name: value", whatever these are.
func (c *h2) encode(lines ...string) []byte {
	c.block.Reset()
	for _, l := range lines {
		name, value, _ := strings.Cut(l[1:], ": ") // a pseudo-header begins with a colon
		_ = c.enc.WriteField(hpack.HeaderField{Name: l[:1] + name, Value: value})
	}
	return bytes.Clone(c.block.Bytes())
}

// open sends a header that is not cut.
func (c *h2) open(stream uint32, end bool, lines ...string) {
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.encode(lines...), EndStream: end, EndHeaders: true})
}

// read collects what comes, on any stream, until stream 1 ends one way or another.
func (c *h2) read() *answer {
	a := &answer{header: http.Header{}}
	for {
		f, err := c.ReadFrame()
		if _, ok := errors.AsType[http2.StreamError](err); err != nil && !ok {
			a.raw = fmt.Append(a.raw, "<", err, ">")
			return a
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			a.raw = fmt.Append(a.raw, "<", f.ErrCode, ">")
			a.plain = append(a.plain, f.DebugData()...)
		case *http2.RSTStreamFrame:
			a.raw = fmt.Append(a.raw, "<", f.ErrCode, ">")
			return a
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				a.plain = fmt.Append(a.plain, h.Name, ": ", h.Value, "\n")
				a.header.Add(h.Name, h.Value)
			}
			_, _ = fmt.Sscan(f.PseudoValue("status"), &a.status)
			if f.StreamEnded() {
				return a
			}
		case *http2.DataFrame:
			a.plain, a.body = append(a.plain, f.Data()...), append(a.body, f.Data()...)
			if f.StreamEnded() {
				return a
			}
		}
	}
}

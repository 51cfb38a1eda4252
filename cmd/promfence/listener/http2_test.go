package listener_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/promfence/promfence/cmd/promfence/listener"
)

// An h2 speaks HTTP/2 frame by frame, by prior knowledge.
type h2 struct {
	t *testing.T
	net.Conn
	*http2.Framer
	next     uint32
	settings map[http2.SettingID]uint32
	statuses map[uint32]string // by stream, once it has ended
}

func (s *server) h2(t *testing.T) *h2 {
	t.Helper()
	c := &h2{t: t, Conn: s.dial(t), next: 1, settings: map[http2.SettingID]uint32{}, statuses: map[uint32]string{}}
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	c.Framer = http2.NewFramer(c.Conn, c.Conn)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := c.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return c
}

// open asks GET path with so many more header lines of so many bytes.
func (c *h2) open(path string, more, size int) uint32 {
	c.t.Helper()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	write := func(name, value string) {
		_ = e.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: true})
	}
	write(":method", "GET")
	write(":scheme", "http")
	write(":path", path)
	write(":authority", "x")
	for i := range more {
		write("a"+strconv.Itoa(i), string(bytes.Repeat([]byte("b"), size)))
	}
	id := c.next
	c.next += 2
	b := block.Bytes()
	first := b[:min(len(b), 16<<10)]
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: true, EndHeaders: len(first) == len(b)})
	for b = b[len(first):]; len(b) > 0; {
		n := min(len(b), 16<<10)
		_ = c.WriteContinuation(id, n == len(b), b[:n])
		b = b[n:]
	}
	return id
}

// status reads until the stream has an answer.
func (c *h2) status(id uint32) string {
	c.t.Helper()
	for c.statuses[id] == "" {
		f, err := c.ReadFrame()
		if err != nil {
			return err.Error()
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			c.statuses[f.StreamID] = f.PseudoValue("status")
		case *http2.RSTStreamFrame:
			c.statuses[f.StreamID] = f.ErrCode.String()
		case *http2.GoAwayFrame:
			return "gone: " + f.ErrCode.String()
		case *http2.SettingsFrame:
			_ = f.ForeachSetting(func(s http2.Setting) error { c.settings[s.ID] = s.Val; return nil })
		}
	}
	return c.statuses[id]
}

func TestHTTP2HeadersAreBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		more, size int
		want       string
	}{
		"200 lines":                 {200, 1, "200"},
		"201 lines":                 {201, 1, "431"},
		"as many bytes as may be":   {90, 900, "200"},
		"more bytes than may be":    {98, 1000, "431"},
		"far more bytes than there": {400, 1000, "gone: PROTOCOL_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, listener.Options{}).h2(t)
			if got := c.status(c.open("/", tt.more, tt.size)); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestHTTP2AnnouncesItsBounds(t *testing.T) {
	c := serve(t, listener.Options{}).h2(t)
	c.status(c.open("/", 0, 0))
	for id, want := range map[http2.SettingID]uint32{
		http2.SettingMaxConcurrentStreams: 100, http2.SettingMaxFrameSize: 16 << 10, http2.SettingInitialWindowSize: 64 << 10, http2.SettingMaxHeaderListSize: 96<<10 + 320,
	} {
		if got := c.settings[id]; got != want {
			t.Errorf("%s is %d, want %d", id, got, want)
		}
	}
}

// The headers of one connection's streams are bounded together. What was refused
// holds nothing, and there is room again when a request has ended.
func TestHTTP2HeadersOfAConnectionAreBounded(t *testing.T) {
	s := serve(t, listener.Options{})
	c := s.h2(t)
	var waiting []uint32
	for range 11 { // of 90 KiB
		waiting = append(waiting, c.open("/wait", 100, 900))
	}
	s.wantWaiting(t, 11)
	refused := c.open("/", 100, 900)
	if got := c.status(refused); got != "503" {
		t.Errorf("%s beyond a mebibyte of headers", got)
	}
	if got := s.h2(t); got.status(got.open("/", 100, 900)) != "200" {
		t.Error("another connection has to do with it")
	}
	s.free(t, len(waiting))
	for _, id := range waiting {
		if got := c.status(id); got != "200" {
			t.Error(got)
		}
	}
	if got := c.status(c.open("/", 100, 900)); got != "200" {
		t.Error(got)
	}
}

// Requests over HTTP/2 count as connections do, however many share one.
func TestHTTP2RequestsAreBounded(t *testing.T) {
	s := serve(t, listener.Options{MaxConnections: 3})
	c := s.h2(t)
	for range 3 {
		c.open("/wait", 0, 0)
	}
	s.wantWaiting(t, 3)
	if got := c.status(c.open("/", 0, 0)); got != "503" {
		t.Error(got)
	}
	s.wantMetric(t, "promfence_connections_delayed_total", 1)
	s.free(t, 3)
	if got := c.status(1) + c.status(3) + c.status(5) + c.status(c.open("/", 0, 0)); got != "200200200200" {
		t.Error(got)
	}
}

func TestHTTP2StreamsAreBounded(t *testing.T) {
	s := serve(t, listener.Options{})
	c := s.h2(t)
	var last uint32
	for range 101 {
		last = c.open("/wait", 0, 0)
	}
	if got := c.status(last); got != fmt.Sprint(http2.ErrCodeRefusedStream) {
		t.Error(got)
	}
}

// An idle connection makes room whatever it speaks, and one with a stream does not.
func TestHTTP2ConnectionsMakeRoomWhenIdle(t *testing.T) {
	s := serve(t, listener.Options{MaxConnections: 2})
	idle, busy := s.h2(t), s.h2(t)
	if got := idle.status(idle.open("/", 0, 0)); got != "200" {
		t.Fatal(got)
	}
	id := busy.open("/wait", 0, 0)
	s.wantWaiting(t, 1)
	wantServed(t, s.dial(t))
	s.wantMetric(t, "promfence_connections_evicted_total", 1)
	s.free(t, 1)
	if got := busy.status(id); got != "200" {
		t.Error(got)
	}
}

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A client is one keep-alive connection. It knows as much HTTP as the answers
// need, so that the load takes little from what is measured.
type client struct {
	conn  net.Conn
	br    *bufio.Reader
	buf   []byte
	took  []time.Duration
	bytes int64
}

func dial(address string) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, br: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// do sends the request in buf and reads the answer, of which body gets a copy.
func (c *client) do(body io.Writer) error {
	begin := time.Now()
	if _, err := c.conn.Write(c.buf); err != nil {
		return err
	}
	status, length, err := c.header()
	if err != nil {
		return err
	}
	if status != 200 {
		text, _ := c.br.Peek(min(c.br.Buffered(), 300))
		return fmt.Errorf("status %d: %s, to %.200s", status, text, c.buf)
	}
	if length >= 0 {
		err = c.take(body, length)
	} else {
		err = c.chunks(body)
	}
	c.took = append(c.took, time.Since(begin))
	return err
}

// header reads up to the body; a length of -1 stands for chunks.
func (c *client) header() (status, length int, err error) {
	length = -1
	for first := true; ; first = false {
		line, err := c.br.ReadSlice('\n')
		switch {
		case err != nil:
			return 0, 0, err
		case len(line) <= 2:
			return status, length, nil
		case first && len(line) > 12:
			status, err = strconv.Atoi(string(line[9:12]))
		case len(line) > 15 && bytes.EqualFold(line[:15], []byte("content-length:")):
			length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:])))
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

func (c *client) take(body io.Writer, n int) error {
	c.bytes += int64(n)
	if body != nil {
		_, err := io.CopyN(body, c.br, int64(n))
		return err
	}
	_, err := c.br.Discard(n)
	return err
}

func (c *client) chunks(body io.Writer) error {
	for {
		line, err := c.br.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return err
		}
		if err := c.take(body, int(size)); err != nil {
			return err
		}
		if _, err := c.br.Discard(2); err != nil || size == 0 {
			return err
		}
	}
}

// A load is how a round goes: for how long, how many requests, how fast.
type load struct {
	time  time.Duration
	count int           // requests of each connection; 0 = as many as the time allows
	every time.Duration // between a connection's requests; 0 = at once
	burst bool          // all connections ask at the same moments, not one after the other
}

// A sample is what one round showed.
type sample map[string]float64

const (
	mCPU        = "CPU per request, µs"
	mCPUperGB   = "CPU per GB, ms"
	mThroughput = "requests per second"
	mP50        = "median latency, µs"
	mP99        = "99th percentile, µs"
)

// round sends the requests over all connections of the process.
func (p *process) round(from requests, l load) (sample, error) {
	next := from.to(p)
	before, err := p.cpu()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	errs := make([]error, len(p.conns))
	var wg sync.WaitGroup
	for i, c := range p.conns {
		wg.Go(func() { errs[i] = c.round(p, next, l, begin, i) })
	}
	wg.Wait()
	elapsed := time.Since(begin)
	after, err := p.cpu()
	if err := cmp.Or(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("%s: %w; its log ends in %q", p.name, err, p.said())
	}
	var took []time.Duration
	var size int64
	for _, c := range p.conns {
		took, size = append(took, c.took...), size+c.bytes
	}
	slices.Sort(took)
	n, cpu := float64(len(took)), after-before
	return sample{
		mCPU:        micros(cpu) / n,
		mCPUperGB:   micros(cpu) * 1e6 / float64(size),
		mThroughput: n / elapsed.Seconds(),
		mP50:        micros(took[len(took)/2]),
		mP99:        micros(took[len(took)*99/100]),
	}, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (c *client) round(p *process, next source, l load, begin time.Time, i int) error {
	c.took, c.bytes = c.took[:0], 0
	offset := l.every * time.Duration(i) / time.Duration(len(p.conns))
	if l.burst {
		offset = 0
	}
	for n := 0; ; n++ {
		if l.every > 0 {
			time.Sleep(time.Until(begin.Add(offset + l.every*time.Duration(n))))
		}
		if l.count > 0 && n == l.count || l.count == 0 && n > 0 && time.Since(begin) >= l.time {
			return nil
		}
		c.buf = next(c.buf, p.sent.Add(1))
		if err := c.do(nil); err != nil {
			return err
		}
	}
}

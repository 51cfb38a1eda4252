// Command peer is what promfence is measured with: a stub upstream, and the
// two bare reverse proxies that show what forwarding costs by itself.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 3 {
		return errors.New("want stub ADDRESS GROUPS, or tuned or default ADDRESS UPSTREAM")
	}
	if args[0] == "stub" {
		groups, err := strconv.Atoi(args[2]) // of rules, 20 in each
		if err != nil {
			return err
		}
		return serveStub(args[1], groups)
	}
	target, err := url.Parse(args[len(args)-1])
	if err != nil {
		return err
	}
	h := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	if args[0] == "tuned" {
		h.Transport, h.BufferPool = tuned(), &buffers{}
	}
	s := &http.Server{Addr: args[1], Handler: h, ReadHeaderTimeout: 10 * time.Second}
	return s.ListenAndServe()
}

// tuned is the transport that a careful author of a proxy would choose.
func tuned() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buf []byte) { b.pool.Put(&buf) }

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/promfence/promfence/cmd/promfence/listener"
	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/proxy"
)

// servers are the listeners of one process, which serve its current generation.
type servers struct {
	live        *live
	main, admin *http.Server
	decision    *http.Server // whom gateways ask
	listeners   map[*http.Server]net.Listener
}

// listen opens all listeners or none.
func listen(ctx context.Context, l *live, metrics prometheus.Registerer) (*servers, error) {
	first := l.now.Load()
	cfg, log, libraries := first.cfg, first.log, stdlog.New(libraryLog{l.log}, "", 0)
	s := &servers{
		live: l, listeners: map[*http.Server]net.Listener{},
		main:  newServer(func(w http.ResponseWriter, r *http.Request) { l.now.Load().proxy.ServeHTTP(w, r) }, libraries, cfg.Server.IdleTimeout),
		admin: newServer(func(w http.ResponseWriter, r *http.Request) { l.now.Load().admin.ServeHTTP(w, r) }, libraries, cfg.Server.IdleTimeout),
	}
	s.decision = newServer(func(w http.ResponseWriter, r *http.Request) { l.now.Load().proxy.Decision().ServeHTTP(w, r) }, libraries, cfg.Server.IdleTimeout)
	bounds := listener.Options{MaxConnections: cfg.Server.MaxConnections, MaxHeaderBytes: cfg.Server.MaxHeaderBytes, Log: libraries, Metrics: listener.NewMetrics(metrics)}
	if first.tls != nil {
		s.main.TLSConfig = l.tls(func(v *generation) *tls.Config { return v.tls })
		bounds.TLS = s.main.TLSConfig
	}
	decisionBounds := listener.Options{MaxConnections: cfg.Server.MaxConnections, MaxHeaderBytes: cfg.Server.MaxHeaderBytes, Log: libraries}
	if first.decisionTLS != nil {
		s.decision.TLSConfig = l.tls(func(v *generation) *tls.Config { return v.decisionTLS })
		decisionBounds.TLS = s.decision.TLSConfig
	}
	adminBounds := listener.Options{MaxConnections: adminConnections, MaxHeaderBytes: cfg.Server.MaxHeaderBytes}
	var errs []error
	for _, at := range []struct {
		server *http.Server
		bounds listener.Options
		name   string
		addr   string
	}{{s.main, bounds, "server", cfg.Server.Address}, {s.decision, decisionBounds, "decision", cfg.Decision.Address}, {s.admin, adminBounds, "admin", cfg.Admin.Address}} {
		if at.addr == "off" {
			continue
		}
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", at.addr)
		if err != nil {
			errs = append(errs, cannotListen(cfg.Name(at.name+".address"), at.addr, err))
			continue
		}
		bounded := listener.New(ln, at.bounds)
		bounded.Guard(at.server)
		s.listeners[at.server] = bounded
		log.Info().Str("listener", at.name).Str("address", ln.Addr().String()).Bool("tls", at.server.TLSConfig != nil).Msg("listening")
	}
	if err := errors.Join(errs...); err != nil {
		for _, ln := range s.listeners {
			_ = ln.Close() // it has taken nothing
		}
		return nil, err
	}
	return s, nil
}

// tls takes the current certificates for every new connection; those that are
// open stay. No generation of a listener with TLS is without.
func (l *live) tls(of func(*generation) *tls.Config) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return of(l.now.Load()), nil },
	}
}

func cannotListen(setting, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s: %s is taken by another process; end that one or choose another port", setting, addr)
	}
	return fmt.Errorf("%s: want an address to listen on: %w", setting, err)
}

// newServer has no WriteTimeout: answers may stream for as long as the caller
// reads them, and the proxy leaves one who stops.
// What strangers make it hold is bounded by [listener.Listener.Guard].
func newServer(h http.HandlerFunc, log *stdlog.Logger, idle time.Duration) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // by prior knowledge; there is no upgrade
	return &http.Server{
		Protocols: &protocols,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, // a caller that has vanished
			WriteByteTimeout: time.Minute,
		},
		Handler:                      h,
		ReadHeaderTimeout:            10 * time.Second,
		IdleTimeout:                  idle,
		DisableGeneralOptionsHandler: true, // OPTIONS * is a path that we do not serve
		ErrorLog:                     log,
	}
}

// newAdmin is what operators and their machines may ask. Their metrics count the
// requests whose counting was deferred.
func newAdmin(c config.Admin, metrics *prometheus.Registry, runTasks func(), px *proxy.Proxy) http.Handler {
	mux := http.NewServeMux()
	scrape := promhttp.HandlerFor(metrics, promhttp.HandlerOpts{Registry: metrics})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		runTasks()
		scrape.ServeHTTP(w, r)
	})
	mux.Handle("GET /-/healthy", px)
	mux.Handle("GET /-/ready", px)
	if c.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, now := http.NewResponseController(w), time.Now()
		if r.ContentLength != 0 { // nobody here reads a body, and net/http waits for it
			_ = c.SetReadDeadline(now.Add(time.Second))
		}
		_ = c.SetWriteDeadline(now.Add(adminAnswer))
		mux.ServeHTTP(w, r)
	})
}

// adminConnections is how many operators and their machines may be connected.
const adminConnections = 256

// adminAnswer is how long an answer may take: a profile as long as anybody
// wants one, while a reader who has stopped does not keep it forever.
const adminAnswer = 10 * time.Minute

// serve returns when ctx has ended and everything has come to its end, or when
// a part has failed.
func (s *servers) serve(ctx context.Context) error {
	serving, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	// Requests that are being drained still need keys.
	keys, stopKeys := context.WithCancel(context.WithoutCancel(ctx))
	defer stopKeys()

	s.live.start(keys, fail)
	var watching, listening, tracing sync.WaitGroup
	if s.live.spans != nil {
		tracing.Go(func() { s.live.spans.Run(keys) })
	}
	watching.Go(func() { s.live.watch(serving, keys) })
	for server, ln := range s.listeners {
		listening.Go(func() {
			if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				fail(fmt.Errorf("%s: %w", ln.Addr(), err))
			}
		})
	}
	<-serving.Done()
	watching.Wait() // from here on there is one generation
	err := s.shutdown(ctx)
	stopKeys()
	listening.Wait()
	s.live.keys.Wait()
	tracing.Wait()
	if audit := s.live.now.Load().audit; audit != nil {
		audit.Flush()
	}
	if ctx.Err() == nil {
		return errors.Join(context.Cause(serving), err)
	}
	return err
}

// shutdown lets balancers look elsewhere, then requests in flight finish. The
// admin listener goes last: it tells why we are not ready.
func (s *servers) shutdown(ctx context.Context) error {
	v := s.live.now.Load()
	delay, timeout := v.cfg.Server.ShutdownDelay, v.cfg.Server.ShutdownTimeout
	v.proxy.Drain()
	v.log.Info().Stringer("delay", delay).Stringer("timeout", timeout).Msg("shutting down")
	if ctx.Err() != nil { // asked to end, not failed
		s.live.in.pace.delay(delay)
	}
	defer s.admin.Close() // nobody waits for its answers

	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	if err := errors.Join(s.main.Shutdown(end), s.decision.Shutdown(end)); err != nil {
		_, _ = s.main.Close(), s.decision.Close() // what matters is said below
		return fmt.Errorf("requests were still running after %s (server.shutdown_timeout) and have been cut off", timeout)
	}
	v.log.Info().Msg("drained")
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/proxy"
)

// servers are the listeners of one process and what ends them.
type servers struct {
	main, admin *http.Server
	listeners   map[*http.Server]net.Listener
	drain       func() // readiness fails from here on
	config      config.Server
	log         zerolog.Logger
}

// listen opens all listeners or none.
func listen(ctx context.Context, cfg *config.Config, log zerolog.Logger, px *proxy.Proxy, admin http.Handler) (*servers, error) {
	s := &servers{
		main: newServer(px, log), admin: newServer(admin, log),
		listeners: map[*http.Server]net.Listener{}, drain: px.Drain, config: cfg.Server, log: log,
	}
	var errs []error
	for _, l := range []struct {
		server *http.Server
		name   string
		addr   string
	}{{s.main, "server", cfg.Server.Address}, {s.admin, "admin", cfg.Admin.Address}} {
		if l.addr == "off" {
			continue
		}
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", l.addr)
		if err != nil {
			errs = append(errs, cannotListen(cfg.Name(l.name+".address"), l.addr, err))
			continue
		}
		s.listeners[l.server] = ln
		log.Info().Str("listener", l.name).Str("address", ln.Addr().String()).Msg("listening")
	}
	if err := errors.Join(errs...); err != nil {
		for _, ln := range s.listeners {
			_ = ln.Close() // it has taken nothing
		}
		return nil, err
	}
	return s, nil
}

func cannotListen(setting, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s: %s is taken by another process; end that one or choose another port", setting, addr)
	}
	return fmt.Errorf("%s: want an address to listen on: %w", setting, err)
}

// newServer has no WriteTimeout: answers may stream for as long as the caller
// reads them.
func newServer(h http.Handler, log zerolog.Logger) *http.Server {
	return &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            10 * time.Second,
		IdleTimeout:                  2 * time.Minute,
		MaxHeaderBytes:               256 << 10, // several tokens and a long query in the URL
		DisableGeneralOptionsHandler: true,      // OPTIONS * is a path that we do not serve
		ErrorLog:                     slog.NewLogLogger(zerolog.NewSlogHandler(log), slog.LevelDebug),
	}
}

// newAdmin is what operators and their machines may ask.
func newAdmin(c config.Admin, metrics *prometheus.Registry, px *proxy.Proxy) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{Registry: metrics}))
	mux.Handle("GET /-/healthy", px)
	mux.Handle("GET /-/ready", px)
	if c.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// serve returns when ctx has ended and everything has come to its end, or when
// a part has failed.
func (s *servers) serve(ctx context.Context, authn *auth.Authenticator) error {
	serving, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	// Requests that are being drained still need keys.
	keys, stopKeys := context.WithCancel(context.WithoutCancel(ctx))
	defer stopKeys()

	var wg sync.WaitGroup
	wg.Go(func() {
		if err := authn.Run(keys); err != nil {
			fail(fmt.Errorf("keys: %w", err))
		}
	})
	for server, ln := range s.listeners {
		wg.Go(func() {
			if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				fail(fmt.Errorf("%s: %w", ln.Addr(), err))
			}
		})
	}
	<-serving.Done()
	err := s.shutdown(ctx)
	stopKeys()
	wg.Wait()
	if ctx.Err() == nil {
		return errors.Join(context.Cause(serving), err)
	}
	return err
}

// shutdown lets balancers look elsewhere, then requests in flight finish. The
// admin listener goes last: it tells why we are not ready.
func (s *servers) shutdown(ctx context.Context) error {
	s.drain()
	s.log.Info().Stringer("delay", s.config.ShutdownDelay).Stringer("timeout", s.config.ShutdownTimeout).Msg("shutting down")
	if ctx.Err() != nil { // asked to end, not failed
		time.Sleep(s.config.ShutdownDelay)
	}
	defer s.admin.Close() // nobody waits for its answers

	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.ShutdownTimeout)
	defer cancel()
	if err := s.main.Shutdown(end); err != nil {
		_ = s.main.Close() // what matters is said below
		return fmt.Errorf("requests were still running after %s (server.shutdown_timeout) and have been cut off", s.config.ShutdownTimeout)
	}
	s.log.Info().Msg("drained")
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

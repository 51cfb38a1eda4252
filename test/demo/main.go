// Demo shows promfence at work with nothing but Go: Prometheus's query engine in this
// process over series of two tenants and of nobody, an issuer that signs their
// tokens, and bin/promfence in front, run as an operator would run it.
//
// It prints curl lines to paste and runs until Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	// A second signal changes nothing: the end is bounded, and cutting it short
	// would leave promfence behind.
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)

	binary := flag.String("promfence", beside("promfence"), "the promfence `binary` to run")
	flag.Parse()
	address := os.Getenv("DEMO_ADDRESS")
	if address == "" {
		address = "127.0.0.1:8080"
	}
	err := run(ctx, os.Stdout, os.Stderr, *binary, address)
	if err != nil && !errors.Is(err, context.Canceled) { // Ctrl-C while it still starts is no failure.
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// beside is a file in the folder of this program: make puts both into bin.
func beside(name string) string {
	self, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(self), name)
}

// run starts the parts in the order in which they need each other.
func run(ctx context.Context, out, progress io.Writer, binary, address string) error {
	listener, err := ready(ctx, binary, address)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the front has closed it, if there was one
	say := func(what string) { _, _ = fmt.Fprintln(progress, what) }

	say("starting a Prometheus with series of acme, of globex and of nobody")
	prometheus := startPrometheus()
	defer prometheus.stop()

	say("starting an issuer of tokens")
	issuer, err := startIssuer()
	if err != nil {
		return err
	}
	defer issuer.stop()

	say("starting promfence on " + address)
	program, err := startPromfence(ctx, binary, prometheus.front.URL, issuer)
	if err != nil {
		return err
	}
	defer func() { _ = program.stop() }()
	front, err := startFront(listener, program.url, issuer, prometheus)
	if err != nil {
		return err
	}
	defer front.stop()

	if err := show(ctx, out, front.url, issuer, prometheus); err != nil {
		return err
	}
	program.speak(ctx, progress)
	select {
	case <-ctx.Done():
		say("\nstopping")
		return program.stop()
	case <-program.exited:
		return fmt.Errorf("promfence ended by itself: %s", program.lastWords())
	}
}

// ready takes the address, finds what else would fail later, and says what to do
// about it.
func ready(ctx context.Context, binary, address string) (net.Listener, error) {
	if _, err := os.Stat(binary); err != nil {
		return nil, fmt.Errorf("there is no %s; run make build first", binary)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is taken; end what listens there or choose another address: make demo DEMO_ADDRESS=127.0.0.1:18080", address)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s (%w); choose another address: make demo DEMO_ADDRESS=127.0.0.1:18080", address, err)
	}
	return l, nil
}

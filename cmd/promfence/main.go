// Command promfence lets every tenant query a shared Prometheus or Thanos and
// see only its own series.
//
// It puts the parts together: the settings make an authenticator, a proxy and the
// listeners. It decides nothing about a request; packages auth and proxy do. It stops
// one threat: requests that are decided by settings which nobody wrote. Everything
// that the settings decide is one generation. A generation does not change, a reload
// replaces it as a whole or not at all, and a request ends with the generation that it
// began with. Nothing listens before a whole generation is there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() {
	// Little lives and much is left behind: at the default, a busy process collects
	// dozens of times a second. Half as often costs 4 MiB.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	signal.Ignore(syscall.SIGPIPE) // whoever reads our log may leave; requests go on
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal drains, the second one kills
	if err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "promfence:", err)
		os.Exit(1)
	}
}

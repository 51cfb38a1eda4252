// Prebuild compiles the big programs, each two minutes the first time, and
// shows how far it is. Without arguments these are the Prometheus server,
// its command line client and the Thanos that the tests use (they would build them too, but go test holds
// their output back); with two, a package and a file to make of it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"

	"github.com/promfence/promfence/test/harness/gobuild"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "prebuild:", err)
		os.Exit(1) //nolint:gocritic // Nothing is left to stop.
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 2 {
		return gobuild.Program{Name: "the " + path.Base(args[0]), Package: args[0], Output: args[1]}.Build(ctx, os.Stderr)
	}
	for _, build := range []func(context.Context, io.Writer) (string, error){gobuild.Prometheus, gobuild.Promtool, gobuild.Thanos} {
		if _, err := build(ctx, os.Stderr); err != nil {
			return err
		}
	}
	return nil
}

// Prebuild builds the Prometheus server that the tests use and shows how far it
// is. The tests would do it too, but go test holds their output back.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/promfence/promfence/test/upstream"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if _, err := upstream.Binary(ctx, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "prebuild:", err)
		os.Exit(1) //nolint:gocritic // Nothing is left to stop.
	}
}

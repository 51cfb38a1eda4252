// Prebuild compiles programs and shows how far it is. Without arguments these are
// the Prometheus servers of three versions, the command line client, the Thanos, the Helm,
// the Alertmanager and the amtool that the tests use
// (they would build them too, but go test holds their output back). With the
// argument demo these are promfence and the demo, side by side, in the folder bin
// of the repository. With the argument free it builds nothing and says whether the
// demo can have the address DEMO_ADDRESS. With the argument plan it says what make
// test will do, and how long that takes.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

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
	switch {
	case slices.Equal(args, []string{"free"}):
		return free(os.Getenv("DEMO_ADDRESS"))
	case slices.Equal(args, []string{"demo"}):
		return demo(ctx)
	case slices.Equal(args, []string{"plan"}):
		return plan(ctx)
	}
	for _, build := range []func(context.Context, io.Writer) (string, error){gobuild.Prometheus, gobuild.Promtool, gobuild.Prometheus316, gobuild.Prometheus255, gobuild.Thanos, gobuild.Helm, gobuild.Alertmanager, gobuild.Amtool} {
		if _, err := build(ctx, os.Stderr); err != nil {
			return err
		}
	}
	return nil
}

// What the tests take on two processors, once everything is built, and what each
// program takes to be built, in minutes of one processor.
const testMinutes = 15

var buildMinutes = map[string]int{"prometheus": 4, "promtool": 2, "prometheus-3.16": 4, "prometheus-2.55": 2, "thanos": 8, "helm": 4, "alertmanager": 2, "amtool": 1}

func plan(ctx context.Context) error {
	missing, all, err := gobuild.Missing(ctx)
	if err != nil {
		return err
	}
	minutes := 0
	for _, name := range missing {
		minutes += buildMinutes[name]
	}
	processors := runtime.NumCPU()
	builds := fmt.Sprintf("the %d programs that the tests run are built", all)
	if len(missing) > 0 {
		builds = fmt.Sprintf("%d of %d programs that the tests run are to be built (%s), some %d minutes", len(missing), all, strings.Join(missing, ", "), 1+minutes/processors)
	}
	_, err = fmt.Printf("make test: the tests beside the code, then those of the running program in test/.\n%s; the tests take some %d minutes on %d processors.\n",
		builds, max(5, testMinutes*2/processors), processors)
	return err
}

// free says so before minutes of compiling that the demo will not get its address.
func free(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen on %s (%w); end what listens there or choose another address: make demo DEMO_ADDRESS=127.0.0.1:18080", address, err)
	}
	return l.Close()
}

// demo builds both programs of the demo in one run of the go command, so that what
// both need is compiled once and all processors have something to do.
func demo(ctx context.Context) error {
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	work, err := os.CreateTemp("", "promfence-demo-*.work")
	if err != nil {
		return err
	}
	defer func() {
		_ = os.Remove(work.Name())
		_ = os.Remove(work.Name() + ".sum")
	}()
	if _, err := fmt.Fprintf(work, "go 1.26.0\n\nuse (\n\t%s\n\t%s\n)\n", root, filepath.Join(root, "test")); err != nil {
		return err
	}
	if err := work.Close(); err != nil {
		return err
	}
	return gobuild.Program{
		Name: "promfence and the demo", Packages: []string{"./cmd/promfence", "./test/demo"},
		Dir: root, Work: work.Name(), Output: filepath.Join(root, "bin") + "/",
	}.Build(ctx, os.Stderr)
}

// Package upstream gives tests a real Prometheus server to stand behind
// promfence, and recorders that note what an upstream was asked.
//
// The server is the genuine cmd/prometheus of the version in go.mod, or of another one
// that Options name, built once per machine (see gobuild). A test that passes against it has not been told by
// our own stub what Prometheus would have done.
package upstream

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/promfence/promfence/test/harness/gobuild"
)

// Options says what the server holds besides what Load and Write bring.
type Options struct {
	Rules   map[string]string // rule files by name, evaluated every second
	Targets []Target          // scraped every second
	Config  string            // sections of prometheus.yml in the place of those that tests usually have
	Args    []string          // more flags, such as --query.timeout=1s
	Program Program           // nil = the version in go.mod
}

// A Program builds a Prometheus server, unless this machine has it already.
type Program func(ctx context.Context, progress io.Writer) (path string, err error)

// An Upstream is a running Prometheus server, gone when its test ends.
type Upstream struct {
	*Process

	URL string // http://127.0.0.1:PORT, without a slash at the end
	Dir string // where its data is
}

// features are switched on so that no query is refused for being experimental:
// whether it is answered must depend on promfence alone.
const features = "exemplar-storage,promql-experimental-functions,promql-extended-range-selectors,promql-binop-fill-modifiers,search-api"

// Start runs a Prometheus server with a data directory of its own on a free
// loopback port and waits until it is ready.
func Start(t testing.TB, o Options) *Upstream {
	t.Helper()
	if o.Program == nil {
		o.Program = gobuild.Prometheus
	}
	binary, err := o.Program(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "prometheus.yml"), configuration(t, o))
	for name, text := range o.Rules {
		writeFile(t, filepath.Join(dir, name+".rules.yml"), text)
	}
	u := &Upstream{Dir: filepath.Join(dir, "data")}
	u.Process = Spawn(t, exec.Command(binary, append([]string{
		"--config.file=" + filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path=" + u.Dir,
		"--web.listen-address=127.0.0.1:0",
		"--web.enable-remote-write-receiver",
		"--enable-feature=" + features,
		"--log.format=json",
	}, o.Args...)...))
	u.Await(t, u.listens)
	u.Await(t, func() error { return Ready(t.Context(), u.URL) })
	return u
}

// listening is the line of Prometheus 3, or of Prometheus 2, which sorts its fields.
var listening = regexp.MustCompile(`"msg":"Listening on".*"address":"([^"]+)"|"address":"([^"]+)".*"msg":"Listening on"`)

// listens takes the address from the log: choosing a free port beforehand would
// race with whoever else does.
func (u *Upstream) listens() error {
	said := listening.FindStringSubmatch(u.Log())
	if said == nil {
		return errors.New("it does not listen")
	}
	u.URL = "http://" + cmp.Or(said[1:]...)
	return nil
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

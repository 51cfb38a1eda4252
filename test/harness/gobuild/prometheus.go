package gobuild

import (
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

const (
	module     = "github.com/prometheus/prometheus"
	modfile316 = ".prometheus316.mod"
	modfile255 = ".prometheus255.mod"
)

// Prometheus returns the path of the Prometheus server, building it first when this
// machine hasn't yet, and tells progress as it does so. It
// must be called below the test module, whose go.mod names the version. Several
// processes may call it at once: one builds, the others wait.
func Prometheus(ctx context.Context, progress io.Writer) (string, error) {
	return cached(ctx, progress, module, Program{
		Name:     "Prometheus",
		Packages: []string{module + "/cmd/prometheus"},
		Tags:     "remove_all_sd", // No cloud SDKs: half the build time, and no test discovers targets.
	})
}

// Prometheus316 does the same for Prometheus 3.16, whose version stands in a module file
// of its own, .prometheus316.mod.
func Prometheus316(ctx context.Context, progress io.Writer) (string, error) {
	root, err := Go(ctx, "list", "-m", "-f", "{{.Dir}}", "github.com/promfence/promfence/test")
	if err != nil {
		return "", err
	}
	return cached(ctx, progress, module, Program{
		Name: "Prometheus-3.16", Packages: []string{module + "/cmd/prometheus"}, Dir: root, Modfile: modfile316, Tags: "remove_all_sd",
	})
}

// Prometheus255 does the same for Prometheus 2.55, whose version stands in
// .prometheus255.mod. It has no build tag without the cloud SDKs: the file that names
// them is taken out of a copy.
func Prometheus255(ctx context.Context, progress io.Writer) (string, error) {
	p := Program{Name: "Prometheus-2.55", Packages: []string{"./cmd/prometheus"}, Modfile: modfile255}
	return copied(ctx, progress, module, p, func(dir string) error {
		return os.Remove(filepath.Join(dir, "plugins", "plugins.go"))
	})
}

// Promtool does the same for Prometheus's command line client.
func Promtool(ctx context.Context, progress io.Writer) (string, error) {
	return cached(ctx, progress, module, Program{Name: "Promtool", Packages: []string{module + "/cmd/promtool"}, Tags: "remove_all_sd"})
}

// Missing names the programs of the tests that this machine has not built yet, of
// all of them.
func Missing(ctx context.Context) (missing []string, all int, err error) {
	for _, p := range []struct{ name, module, modfile string }{
		{"prometheus", module, ""},
		{"promtool", module, ""},
		{"prometheus-3.16", module, modfile316},
		{"prometheus-2.55", module, modfile255},
		{"thanos", thanosModule, ".thanos.mod"},
		{"helm", helmModule, ".helm.mod"},
		{"alertmanager", alertmanagerModule, alertmanagerModfile},
		{"amtool", alertmanagerModule, alertmanagerModfile},
	} {
		path, err := outputOf(ctx, p.module, Program{Name: p.name, Modfile: p.modfile})
		if err != nil {
			return nil, 0, err
		}
		all++
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, p.name)
		}
	}
	return missing, all, nil
}

// outputOf is where a program is kept. Its module's version, which p's module file
// names, is in the path.
func outputOf(ctx context.Context, module string, p Program) (string, error) {
	version, err := Go(ctx, "list", "-C", cmp.Or(p.Dir, "."), "-modfile="+p.Modfile, "-m", "-f", "{{.Version}}", module)
	if err != nil {
		return "", err
	}
	return filepath.Join(cacheDir(), strings.Join([]string{strings.ToLower(p.Name), version, runtime.Version(), runtime.GOOS, runtime.GOARCH}, "-")), nil
}

// cached returns the path of a program, building it first when this machine hasn't
// yet.
func cached(ctx context.Context, progress io.Writer, module string, p Program) (string, error) {
	return cachedBy(ctx, module, p, func(p Program) error { return p.Build(ctx, progress) })
}

// cachedBy is cached for a program that build builds.
func cachedBy(ctx context.Context, module string, p Program, build func(Program) error) (string, error) {
	var err error
	if p.Output, err = outputOf(ctx, module, p); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(p.Output), 0o750); err != nil {
		return "", err
	}
	unlock, err := lock(p.Output + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(p.Output); err == nil {
		return p.Output, nil
	}
	return p.Output, build(p)
}

// cacheDir survives between runs where the machine has a home, and between
// processes where it has none.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "promfence")
}

// lock waits until no other process holds the file.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil // Closing gives up the lock.
}

package auth

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long after a folder's first change we read it: writers truncate
// first and write then.
const settle = 100 * time.Millisecond

// A keyParser reads keys for the allowed algorithms. skipped are keys that
// cannot be used next to others that can.
type keyParser func(b []byte, allowed []string) (keys []verifyKey, skipped []error, err error)

func withoutSkips(parse func([]byte, []string) ([]verifyKey, error)) keyParser {
	return func(b []byte, allowed []string) ([]verifyKey, []error, error) {
		keys, err := parse(b, allowed)
		return keys, nil, err
	}
}

// A keyFile is a file with keys of one issuer. A broken, empty or missing one
// never takes keys away.
type keyFile struct {
	issuer  *issuer
	slot    int
	setting string
	path    string
	parse   keyParser
	log     *slog.Logger
	last    string // what the last load said, so that it is said once
}

func (f *keyFile) load() error {
	keys, skipped, err := f.read()
	if err != nil {
		return err
	}
	if f.issuer.accept(f.slot, keys) {
		for _, s := range skipped {
			f.log.Info("key skipped", "issuer", f.issuer.name, "setting", f.setting, "reason", s)
		}
		f.log.Info("keys loaded", "issuer", f.issuer.name, "setting", f.setting, "keys", len(keys))
	}
	return nil
}

func (f *keyFile) read() ([]verifyKey, []error, error) {
	file, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // or a pipe would wait for a writer
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: not a regular file", f.path)
	}
	b, err := readBounded(file)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.path, err)
	}
	keys, skipped, err := f.parse(b, f.issuer.algs)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.path, err)
	}
	return keys, skipped, nil
}

// reload is load while we are serving.
func (f *keyFile) reload() {
	said := ""
	if err := f.load(); err != nil {
		said = err.Error()
		if said != f.last {
			f.log.Error("keys not reloaded, keeping those we have", "issuer", f.issuer.name, "setting", f.setting, "error", err)
		}
	}
	f.last = said
}

// watch reloads the files when something changes in their folders, and, for the
// changes that nobody announces (network file systems), when asked to and at
// every interval. It watches folders because files are replaced, not written:
// editors rename, and Kubernetes swaps a symbolic link two levels up.
func watch(ctx context.Context, files []*keyFile, interval time.Duration, again <-chan struct{}, log *slog.Logger) {
	var events chan fsnotify.Event
	var failed chan error
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("key files are not watched, only read again at every refresh interval", "error", err)
	} else {
		defer w.Close()
		events, failed = w.Events, w.Errors
		for _, f := range files {
			addFolders(w, f.path, log)
		}
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	settled := time.After(0) // for a change between New and now
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			// Not put off by further events: a busy folder must not hide a change.
			if settled == nil {
				settled = time.After(settle)
			}
			continue
		case err := <-failed:
			log.Warn("watching key files", "error", err)
		case <-settled:
			settled = nil
		case <-again:
		case <-ticker.C:
		}
		for _, f := range files {
			f.reload()
			if w != nil {
				addFolders(w, f.path, log)
			}
		}
	}
}

// addFolders watches the folder of a file and, if the file is a link, the one
// where it really is, which may be another after each change.
func addFolders(w *fsnotify.Watcher, path string, log *slog.Logger) {
	folders := []string{filepath.Dir(path)}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		folders = append(folders, filepath.Dir(target))
	}
	for _, folder := range folders {
		if err := w.Add(folder); err != nil {
			log.Warn("folder of key files is not watched", "folder", folder, "error", err)
		}
	}
}

package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"syscall"
)

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
	field   string // of Options
	setting string // for the log
	path    string
	parse   keyParser
	log     *slog.Logger
	last    string // what the last load said, so that it is said once
}

func (f *keyFile) load() error {
	b, err := readFile(f.path)
	if err != nil {
		return err
	}
	keys, skipped, err := f.parse(b, f.issuer.algs)
	if err != nil {
		return err
	}
	if f.issuer.accept(f.slot, keys) {
		for _, s := range skipped {
			f.log.Info("key skipped", "issuer", f.issuer.name, "setting", f.setting, "reason", s)
		}
		f.log.Info("keys loaded", "issuer", f.issuer.name, "setting", f.setting, "keys", len(keys))
	}
	f.last = ""
	return nil
}

// reload is load while we are serving.
func (f *keyFile) reload() {
	if err := f.load(); err != nil {
		f.complain(err)
	}
}

// complain says once that the file cannot be used.
func (f *keyFile) complain(err error) {
	if err.Error() != f.last {
		f.log.Error("keys not reloaded, keeping those we have", "issuer", f.issuer.name, "setting", f.setting, "error", err)
	}
	f.last = err.Error()
}

// readFile reads a file of the settings. Its errors leave the path out: some write
// the secret itself there.
func readFile(path string) ([]byte, error) {
	// A pipe would wait for a writer without O_NONBLOCK.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // G304: the operator names the path
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return nil, fmt.Errorf("want a file that can be read: %w", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("want a regular file")
	}
	return readBounded(file)
}

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/promfence/promfence/config"
)

// maxFileBytes bounds what is read of a file that a setting names.
const maxFileBytes = 4 << 20

// readFile reads a file that a setting names. Its errors leave the path out: some
// write the secret itself there.
func readFile(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator's own file; a pipe would wait for a writer
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return nil, fmt.Errorf("want a file that can be read: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("want a regular file")
	}
	b, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(b) > maxFileBytes {
		err = fmt.Errorf("want at most %d bytes", maxFileBytes)
	}
	return b, err
}

// A fingerprint changes with what is in the files that settings name. Their size
// and time say nothing: a file that replaces another may have the same. auth reads
// those with keys by itself, so that nobody's requests change generation for them.
type fingerprint struct{ settings, keys [sha256.Size]byte }

func fingerprintOf(cfg *config.Config) fingerprint {
	settings, keys := sha256.New(), sha256.New()
	add(settings, cfg.File)
	files := cfg.Files()
	for _, key := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(key, "auth.") {
			add(keys, files[key])
		} else {
			add(settings, files[key])
		}
	}
	return fingerprint{[sha256.Size]byte(settings.Sum(nil)), [sha256.Size]byte(keys.Sum(nil))}
}

// add adds one file's content, or why it has none.
func add(h hash.Hash, path string) {
	if path == "" {
		return
	}
	b, err := readFile(path)
	sum := sha256.Sum256(b)
	fmt.Fprintf(h, "%q %v %x\n", path, err, sum)
}

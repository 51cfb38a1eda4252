package gobuild

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// packages weighs the lines of go build -v, one for each package compiled, by how
// much source each package has.
type packages struct {
	begin time.Time

	mu      sync.Mutex
	weights map[string]int64 // bytes of source; nil until the modules are here
	total   int64
	said    bytes.Buffer
}

// expect reads what go list says of all packages.
func (p *packages) expect(list []byte) error {
	weights, total := map[string]int64{}, int64(0)
	for d := json.NewDecoder(bytes.NewReader(list)); ; {
		var pkg struct {
			ImportPath, Dir string
			GoFiles         []string
		}
		err := d.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for _, name := range pkg.GoFiles {
			if info, err := os.Stat(filepath.Join(pkg.Dir, name)); err == nil { // else it is generated
				weights[pkg.ImportPath] += info.Size()
				total += info.Size()
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weights, p.total = weights, total
	return nil
}

func (p *packages) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

// stage says how far the build is, and how long it may still take: at most, since
// some packages may have been compiled before.
func (p *packages) stage() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.weights == nil {
		return "fetching modules"
	}
	count, done := 0, int64(0)
	for name := range strings.Lines(p.said.String()) {
		count++
		done += p.weights[strings.TrimSpace(name)]
	}
	left := "a while"
	if done > p.total/20 {
		left = time.Duration(float64(time.Since(p.begin)) * float64(p.total-done) / float64(done)).Round(5 * time.Second).String()
	}
	return fmt.Sprintf("%d of at most %d packages, at most %s more", count, len(p.weights), left)
}

// last is the end of what the compiler said.
func (p *packages) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(p.said.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// report tells how far it is until the returned func is called: in one line that
// changes on a terminal, and elsewhere with a line at the beginning and one at the
// end. What takes only a moment, since all is compiled already, passes without a
// word.
func (p *packages) report(w io.Writer, name string) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	live := terminal(w)
	go func() {
		defer close(ended)
		for told := false; ; told = true {
			select {
			case <-quit:
				if told {
					_, _ = fmt.Fprintf(w, "%sbuilding %s took %s\n", over(live), name, time.Since(p.begin).Round(time.Second))
				}
				return
			case <-time.After(2 * time.Second):
				switch {
				case live:
					_, _ = fmt.Fprintf(w, "%sbuilding %s: %s", over(live), name, p.stage())
				case !told:
					_, _ = fmt.Fprintf(w, "building %s\n", name)
				}
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// over begins a line in the place of the last one.
func over(live bool) string {
	if live {
		return "\r\x1b[K"
	}
	return ""
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

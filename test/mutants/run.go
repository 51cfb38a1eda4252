package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// limit is how long the one test of a mutant may take. What hangs has noticed.
const limit = "20s"

// A house is the module whose guards are taken out.
type house struct {
	root, temp string
	out        io.Writer
	check      bool   // look for places only
	find       bool   // the tests that notice
	skip       string // tests that need not be tried for that

	mu sync.Mutex // of out
}

func (h *house) say(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, _ = fmt.Fprintf(h.out, format+"\n", args...)
}

// try runs the mutants of one package.
func (h *house) try(ctx context.Context, l list) (tally, error) {
	if len(l.mutants) == 0 {
		return tally{}, nil
	}
	begin := time.Now()
	var t tally
	dir := filepath.Join(h.root, l.pkg)
	all, err := sources(dir)
	if err != nil {
		return t, err
	}
	shared, alone := newOverlay(h.temp, l.pkg, dir), []*overlay{}
	var together []*mutant
	for _, m := range l.mutants {
		p, err := find(m, all)
		switch {
		case err != nil:
			t.broken++
			h.say("%s: %s: %v", m.where, m.name, err)
		case m.equivalent != "":
			t.equivalent++
		case m.test == "" && !h.find:
			t.broken++
			h.say("%s: %s: want a test that must notice, or a reason why none can", m.where, m.name)
		case shared.weave(m, p):
			together = append(together, m)
		default:
			alone = append(alone, single(h.temp, l.pkg, dir, m, p))
		}
	}
	if len(together)+len(alone) > 0 && !h.check {
		more, err := h.tryAll(ctx, shared, together, alone)
		if err != nil {
			return t, err
		}
		t.add(more)
	}
	h.say("%-24s %3d mutants, %d noticed, %d equivalent, %d survived, %d not to be tried, %.1fs", l.pkg, len(l.mutants), t.noticed, t.equivalent, t.survived, t.broken, time.Since(begin).Seconds())
	return t, nil
}

func (h *house) tryAll(ctx context.Context, shared *overlay, together []*mutant, alone []*overlay) (t tally, err error) {
	if err := shared.build(ctx, h.root); err != nil {
		return t, err
	}
	tests := slices.Clone(together)
	for _, o := range alone {
		tests = append(tests, o.mutant)
	}
	if !h.find {
		tests, t.broken = h.pass(ctx, shared, tests)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	free := make(chan struct{}, 2*runtime.GOMAXPROCS(0)) // many tests wait
	for _, m := range tests {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			binary := shared
			if i := slices.IndexFunc(alone, func(o *overlay) bool { return o.mutant == m }); i >= 0 {
				binary = alone[i]
				if berr := binary.build(ctx, h.root); berr != nil {
					mu.Lock()
					defer mu.Unlock()
					t.broken++
					h.say("%s: %s: %v", m.where, m.name, berr)
					return
				}
			}
			passed, by := false, ""
			if h.find && m.test == "" {
				by = binary.noticing(ctx, m, h.skip)
				passed = by == ""
				h.say("%s: %s: test %s", m.where, m.name, by)
			} else {
				passed = binary.passes(ctx, m)
			}
			mu.Lock()
			defer mu.Unlock()
			if passed {
				t.survived++
				h.say("%s: SURVIVED %s: %s passes", m.where, m.name, m.test)
			} else {
				t.noticed++
			}
		})
	}
	all.Wait()
	return t, ctx.Err()
}

// pass runs the tests without any mutant and returns the mutants whose test
// passes: one that fails anyway, or does not exist, notices nothing.
func (h *house) pass(ctx context.Context, shared *overlay, mutants []*mutant) (good []*mutant, bad int) {
	var names []string
	for _, m := range mutants {
		name, _, _ := strings.Cut(m.test, "/")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	out := shared.run(ctx, 0, "^("+strings.Join(names, "|")+")$", "-test.v")
	for _, m := range mutants {
		name, _, _ := strings.Cut(m.test, "/")
		if regexp.MustCompile(`(?m)^--- PASS: ` + name + ` `).Match(out.text) {
			good = append(good, m)
			continue
		}
		bad++
		h.say("%s: %s: %s does not pass without the mutant, or does not exist", m.where, m.name, name)
	}
	if bad > 0 && out.err != nil {
		h.say("%s", failures(out.text))
	}
	return good, bad
}

// failures are the lines of a test run that tell what failed.
func failures(text []byte) []byte {
	lines := bytes.Split(text, []byte("\n"))
	lines = slices.DeleteFunc(lines, func(l []byte) bool {
		l = bytes.TrimSpace(l)
		return len(l) == 0 || bytes.HasPrefix(l, []byte("=== ")) || bytes.HasPrefix(l, []byte("--- PASS"))
	})
	return bytes.Join(lines[:min(len(lines), 20)], []byte("\n"))
}

// An overlay is a test binary of a package with some of its files replaced.
type overlay struct {
	*mutant // of one that is alone

	pkg, dir string // in the module, and where its tests run
	binary   string
	files    map[string][]byte
	weavers  map[string]*weaver
}

func newOverlay(temp, pkg, dir string) *overlay {
	name := strings.ReplaceAll(pkg, "/", ".")
	return &overlay{pkg: pkg, dir: dir, binary: filepath.Join(temp, name+".test"), files: map[string][]byte{}, weavers: map[string]*weaver{}}
}

// single is the overlay of one mutant that cannot share.
func single(temp, pkg, dir string, m *mutant, p place) *overlay {
	o := newOverlay(temp, fmt.Sprint(pkg, ".", m.id), dir)
	o.pkg, o.mutant = pkg, m
	o.files[p.path] = slices.Concat(p.text[:p.begin], []byte(m.text), p.text[p.end:])
	return o
}

func (o *overlay) weave(m *mutant, p place) bool {
	w := o.weavers[p.path]
	if w == nil {
		w = newWeaver(p.source)
		o.weavers[p.path] = w
	}
	return w.add(m, p)
}

// build compiles the tests of the package.
func (o *overlay) build(ctx context.Context, root string) error {
	for path, w := range o.weavers {
		o.files[path] = w.woven()
		o.files[filepath.Join(filepath.Dir(path), "mutants_switch.go")] = fmt.Appendf(nil, switched, w.tree.Name.Name)
	}
	replace := map[string]string{}
	folder, err := os.MkdirTemp(filepath.Dir(o.binary), "overlay-")
	if err != nil {
		return err
	}
	for path, text := range o.files {
		file := filepath.Join(folder, filepath.Base(path))
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
		replace[path] = file
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	list := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", list, "-ldflags=-s -w", "-gcflags=-e", "-o", o.binary, "./"+o.pkg)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the mutants do not compile: %w\n%s%s", err, o.blamed(out), out)
	}
	return nil
}

var compilerLine = regexp.MustCompile(`(?m)^\S*?([^/\s:]+\.go):(\d+):\d+: (.*)$`)

// blamed names the mutants in whose copies the compiler found mistakes.
func (o *overlay) blamed(said []byte) []byte {
	var b bytes.Buffer
	for _, line := range compilerLine.FindAllSubmatch(said, -1) {
		for path, w := range o.weavers {
			if filepath.Base(path) != string(line[1]) {
				continue
			}
			var number int
			_, _ = fmt.Sscan(string(line[2]), &number)
			for _, s := range w.spans {
				first := 1 + bytes.Count(o.files[path][:s.begin], []byte("\n"))
				last := 1 + bytes.Count(o.files[path][:s.end], []byte("\n"))
				if first <= number && number <= last {
					fmt.Fprintf(&b, "%s: %s: %s\n", s.where, s.name, line[3])
				}
			}
		}
	}
	return b.Bytes()
}

// A result is how a run of a test binary ended.
type result struct {
	text []byte
	err  error
}

func (o *overlay) run(ctx context.Context, id int, tests string, args ...string) result {
	cmd := exec.CommandContext(ctx, o.binary, append([]string{"-test.run", tests, "-test.timeout", limit}, args...)...)
	cmd.Dir = o.dir
	cmd.Env = append(os.Environ(), fmt.Sprint(variable, "=", id))
	text, err := cmd.CombinedOutput()
	return result{text, err}
}

// passes runs the one test of a mutant. A test that is not there passes, too.
func (o *overlay) passes(ctx context.Context, m *mutant) bool {
	var parts []string
	for part := range strings.SplitSeq(m.test, "/") {
		parts = append(parts, "^"+part+"$")
	}
	return o.run(ctx, m.id, strings.Join(parts, "/"), "-test.failfast").err == nil
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)

// noticing looks for a test of the package that fails with a mutant.
func (o *overlay) noticing(ctx context.Context, m *mutant, skip string) string {
	r := o.run(ctx, m.id, ".", "-test.failfast", "-test.v", "-test.short", "-test.skip="+skip)
	if found := failed.FindSubmatch(r.text); found != nil {
		return string(found[1])
	}
	if r.err == nil {
		return ""
	}
	begun := regexp.MustCompile(`(?m)^=== RUN +(\w+)`).FindAllSubmatch(r.text, -1)
	if begun == nil {
		return "(none: the binary fails)"
	}
	return string(begun[len(begun)-1][1]) // a panic
}

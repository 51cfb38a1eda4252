package operate_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/test/harness/fence"
)

// buildImages writes the image of this program twice, of the same binary for each
// architecture, as make image does with released ones.
func buildImages(t *testing.T) (dir, again string) {
	t.Helper()
	at := t.TempDir()
	sh(t, "..", "CGO_ENABLED=0 go build -trimpath -o '"+at+"/promfence-amd64' ../cmd/promfence && cp '"+at+"/promfence-amd64' '"+at+"/promfence-arm64'")
	sh(t, "..", "go build -o '"+at+"/image' ./harness/image")
	for _, name := range []string{"one", "two"} {
		sh(t, at, "./image -out "+name+" -binaries promfence- -version v0.0.0-test -revision 0123456789 -created 2026-11-01T00:00:00+02:00")
	}
	return filepath.Join(at, "one"), filepath.Join(at, "two")
}

// The image needs no daemon: what a registry takes and gives back is checked here,
// and its root is a folder in which the program runs, as nobody, with nothing else
// there and nothing that it could write to.
func TestImage(t *testing.T) {
	t.Parallel() // beside those that wait
	dir, again := buildImages(t)
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	first, second := digest(t, dir), digest(t, again)
	if published, err := index.Digest(); err != nil || published.String() != first || first != second {
		t.Errorf("the digest is %s (%v), index.json is %s and, built again, %s", published, err, first, second)
	}
	logs := log.New(io.Discard, "", 0)
	server := httptest.NewServer(registry.New(registry.Logger(logs)))
	t.Cleanup(server.Close)
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/promfence/promfence:test")
	if err != nil {
		t.Fatal(err)
	}
	sh(t, filepath.Dir(dir), "./image -out one -push '"+ref.Name()+"'")
	if pushed, err := remote.Index(ref); err != nil {
		t.Fatal(err)
	} else if is, err := pushed.Digest(); err != nil || is.String() != first {
		t.Errorf("what was pushed is %s (%v), what is in the folder %s", is, err, first)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		image, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
		if err != nil {
			t.Fatal(err)
		}
		c, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		want := v1.Config{
			User: "65532:65532", Entrypoint: []string{"/promfence"}, Env: []string{"PROMFENCE_ADMIN_ADDRESS=:8081"},
			ExposedPorts: map[string]struct{}{"8080/tcp": {}, "8081/tcp": {}}, Labels: c.Config.Labels,
		}
		if diff := cmp.Diff(want, c.Config); diff != "" || c.Architecture != arch {
			t.Errorf("%s %s (-want +got):\n%s", arch, c.Architecture, diff)
		}
		manifest, err := image.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		for _, about := range []map[string]string{c.Config.Labels, manifest.Annotations} {
			if about["org.opencontainers.image.version"] != "v0.0.0-test" || about["org.opencontainers.image.created"] != "2026-10-31T22:00:00Z" || len(about) != 7 {
				t.Errorf("%s: %v", arch, about)
			}
		}
		if arch == runtime.GOARCH {
			runImage(t, image, c.Config)
		}
	}
}

func digest(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(b))
}

// runImage runs the image's program in the image's root until it has served; the
// test ends with a SIGTERM, after which it has to drain.
func runImage(t *testing.T, image v1.Image, c v1.Config) {
	t.Helper()
	if _, err := config.Load(nil, append(slices.Clone(c.Env), "PROMFENCE_UPSTREAM_URL=http://x", "PROMFENCE_AUTH_ISSUER=http://x", "PROMFENCE_AUTH_AUDIENCE=x")); err != nil {
		t.Error(err)
	}
	root := t.TempDir()
	unpack(t, image, root)
	if err := os.Chmod(root, 0o555); err != nil { // read-only, as the examples run it
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(root, 0o755) }) // so that it can be removed
	cmd := exec.Command("")
	cmd.Path, cmd.Args = c.Entrypoint[0], c.Entrypoint
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	switchUser(t, cmd.SysProcAttr, c.User)
	f := run(t, cmd, stub(t, nil))
	f.wants(t, "acme", "up", http.StatusOK)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`Uid:(\s+65532){4}`, `Gid:(\s+65532){4}`, `CapEff:\s+0{16}`} {
		if os.Getuid() == 0 && !regexp.MustCompile(want).Match(status) {
			t.Errorf("no %s in\n%s", want, status)
		}
	}
}

// unpack writes what the image holds, which is known to the last file.
func unpack(t *testing.T, image v1.Image, root string) {
	t.Helper()
	var names []string
	files := mutate.Extract(image)
	defer files.Close()
	for r := tar.NewReader(files); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s %o %d", h.Name, h.Mode, h.Uid))
		path := filepath.Join(root, h.Name)
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(h.Name, ".crt") && !x509.NewCertPool().AppendCertsFromPEM(b) {
			t.Errorf("%s holds no certificates", h.Name)
		}
		if err := os.WriteFile(path, b, os.FileMode(h.Mode)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"etc 755 0", "etc/ssl 755 0", "etc/ssl/certs 755 0", "etc/ssl/certs/ca-certificates.crt 444 0", "promfence 555 0"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("the image holds (-want +got):\n%s", diff)
	}
}

// switchUser makes a command run as the user of an image: as this number when
// this process may, or as what looks like it from inside of a user namespace.
func switchUser(t *testing.T, to *syscall.SysProcAttr, user string) {
	t.Helper()
	var uid, gid uint32
	if n, err := fmt.Sscanf(user, "%d:%d", &uid, &gid); n != 2 || err != nil || uid == 0 || gid == 0 {
		t.Fatalf("USER %s: want two numbers, none of them root's", user)
	}
	if os.Getuid() == 0 {
		to.Credential = &syscall.Credential{Uid: uid, Gid: gid}
		return
	}
	to.Cloneflags = syscall.CLONE_NEWUSER
	to.UidMappings = []syscall.SysProcIDMap{{ContainerID: int(uid), HostID: os.Getuid(), Size: 1}}
	to.GidMappings = []syscall.SysProcIDMap{{ContainerID: int(gid), HostID: os.Getgid(), Size: 1}}
}

func TestSystemdUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		fence.LeaveOut(t, "no systemd-analyze: apt-get install systemd")
	}
	// What the unit starts has to exist when it is checked.
	unit := strings.ReplaceAll(string(file(t, "promfence.service")), "/usr/local/bin/promfence", "/bin/true")
	path := filepath.Join(t.TempDir(), "promfence.service")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", path).CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	checkUnitMemory(t, unit)
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=15", path).CombinedOutput()
	if err != nil {
		t.Errorf("it may do more than it needs: %v\n%s", err, out)
	}
}

// checkUnitMemory checks the unit's limits as those of the Kubernetes examples.
func checkUnitMemory(t *testing.T, unit string) {
	t.Helper()
	var settings []string
	for _, line := range regexp.MustCompile(`(?m)^Environment=(PROMFENCE_.*)$`).FindAllStringSubmatch(unit, -1) {
		settings = append(settings, strings.Fields(line[1])...)
	}
	c, err := config.Load(nil, append(settings, "PROMFENCE_UPSTREAM_URL=http://x", "PROMFENCE_AUTH_ISSUER=http://x", "PROMFENCE_AUTH_AUDIENCE=x"))
	if err != nil {
		t.Fatal(err)
	}
	number := func(pattern string) int64 {
		m := regexp.MustCompile(pattern).FindStringSubmatch(unit)
		if m == nil {
			t.Fatalf("no %s", pattern)
		}
		n, _ := strconv.ParseInt(m[1], 10, 64)
		return n * mib
	}
	goal, limit := number(`(?m)^Environment=GOMEMLIMIT=(\d+)MiB$`), number(`(?m)^MemoryMax=(\d+)M$`)
	if worst := c.WorstCaseMemory(); worst > goal || goal > limit/8*7 {
		t.Errorf("the settings allow %d MiB, GOMEMLIMIT is %d MiB and the limit %d MiB", worst/mib, goal/mib, limit/mib)
	}
}

package operate_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/test/harness/fence"
)

// instructions are those of the Dockerfile, by stage.
func instructions(t *testing.T) (stages [][][2]string) {
	t.Helper()
	text, err := os.ReadFile("../../cmd/promfence/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(bytes.ReplaceAll(text, []byte("\\\n"), nil)))
	for lines.Scan() {
		name, args, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if name == "FROM" {
			stages = append(stages, nil)
		}
		last := &stages[len(stages)-1]
		*last = append(*last, [2]string{name, strings.TrimSpace(args)})
	}
	return stages
}

// The image is made as the Dockerfile says, as a folder: no engine is needed to
// see that the program runs in it, as nobody, with nothing else there and
// nothing that it could write to.
func TestImage(t *testing.T) {
	t.Parallel() // beside those that wait
	stages := instructions(t)
	if len(stages) != 2 || stages[1][0] != [2]string{"FROM", "scratch"} {
		t.Fatalf("the image is made of %q", stages)
	}
	built, root := t.TempDir(), t.TempDir()
	for _, in := range stages[0] {
		if in[0] == "RUN" && strings.Contains(in[1], "go build") {
			command := strings.Replace(in[1], " -o /promfence ", " -o '"+built+"/promfence' ", 1)
			cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
			cmd.Dir, cmd.Env = "../..", append(os.Environ(), "TARGETOS=linux", "TARGETARCH=")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
		}
	}
	cmd := exec.Command("")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	var own []string // settings of the image
	for _, in := range stages[1][1:] {
		switch in[0] {
		case "COPY":
			paths := strings.Fields(in[1])
			if len(paths) != 3 || paths[0] != "--from=build" {
				t.Fatalf("what is copied into the image is %q", paths)
			}
			fill(t, built, root, paths[1], paths[2])
		case "USER":
			switchUser(t, cmd.SysProcAttr, in[1])
		case "ENTRYPOINT":
			if err := json.Unmarshal([]byte(in[1]), &cmd.Args); err != nil || len(cmd.Args) != 1 {
				t.Fatalf("ENTRYPOINT %s: want one program and no shell: %v", in[1], err)
			}
			cmd.Path = cmd.Args[0]
		case "ENV":
			own = append(own, in[1])
		case "EXPOSE":
			if in[1] != "8080 8081" {
				t.Errorf("EXPOSE %s", in[1])
			}
		default:
			t.Errorf("%s in an image that has no shell and needs nothing", in[0])
		}
	}
	if !slices.Equal(own, []string{"PROMFENCE_ADMIN_ADDRESS=:8081"}) {
		t.Errorf("the image's own settings are %q", own)
	}
	if _, err := config.Load(nil, append(own, "PROMFENCE_UPSTREAM_URL=http://x", "PROMFENCE_AUTH_ISSUER=http://x", "PROMFENCE_AUTH_AUDIENCE=x")); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(root, 0o555); err != nil { // read-only, as the examples run it
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(root, 0o755) }) // so that it can be removed
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

// fill puts what the image has into its folder.
func fill(t *testing.T, built, root, from, to string) {
	t.Helper()
	if strings.HasSuffix(to, "/") {
		to += filepath.Base(from)
	}
	source := map[string]string{"/promfence": built + "/promfence", "/etc/ssl/certs/ca-certificates.crt": "image_test.go"}[from] // no certificate is needed here
	b, err := os.ReadFile(source)
	if err != nil {
		t.Fatalf("the image has %s: %v", from, err)
	}
	if err := os.MkdirAll(filepath.Dir(root+to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+to, b, 0o755); err != nil {
		t.Fatal(err)
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
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=20", path).CombinedOutput()
	if err != nil {
		t.Errorf("it may do more than it needs: %v\n%s", err, out)
	}
}

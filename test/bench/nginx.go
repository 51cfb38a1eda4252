package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// nNginx is nginx as a plain proxy, which shows what a proxy in C costs.
const nNginx = "nginx"

// nginxConfig lets nginx do what promfence does beside enforcing: connections to the
// upstream stay open, and access lines are written together.
const nginxConfig = `%[1]s
worker_processes %[2]d;
pid nginx.pid;
error_log stderr error;
events { worker_connections 8192; }
http {
	access_log access.log combined buffer=64k flush=10ms;
	client_body_temp_path body; proxy_temp_path answer; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
	keepalive_requests 1000000000;
	upstream stub { server %[3]s; keepalive 256; keepalive_requests 1000000000; }
	server {
		listen %[4]s;
		location / {
			proxy_pass http://stub;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
		}
	}
}
`

// nginx is the subject, if the program is installed.
func (p programs) nginx() []subject {
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return nil
		}
	}
	return []subject{{nNginx, false, func(address string) *exec.Cmd {
		dir := filepath.Join(p.dir, "nginx-"+address)
		user := ""
		if os.Geteuid() == 0 { // the workers are nobody's else, and may not enter dir
			user = "user root root;"
		}
		config := fmt.Sprintf(nginxConfig, user, runtime.GOMAXPROCS(0), p.upstream, address)
		cmd := exec.Command(program, "-p", dir, "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // the master ends its workers
		if cmd.Err = os.Mkdir(dir, 0o700); cmd.Err == nil {
			cmd.Err = os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600)
		}
		return cmd
	}}}
}

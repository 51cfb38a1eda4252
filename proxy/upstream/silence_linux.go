package upstream

import "syscall"

// tcpUserTimeout is TCP_USER_TIMEOUT of tcp(7), which package syscall does not name.
const tcpUserTimeout = 0x12

// limitSilence bounds how long what was sent may stay without an acknowledgment:
// by default a request is sent anew for a quarter of an hour.
func limitSilence(network, _ string, socket syscall.RawConn) error {
	if network == "unix" {
		return nil
	}
	var err error
	if failed := socket.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(maxSilence.Milliseconds()))
	}); failed != nil {
		return failed
	}
	return err
}

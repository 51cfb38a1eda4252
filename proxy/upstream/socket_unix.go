//go:build unix

package upstream

import "syscall"

// peek tells what the upstream has done on an idle connection. What it has sent
// stays unread, for TLS to decipher.
func peek(fd uintptr) state {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
	switch {
	case err == syscall.EAGAIN:
		return quiet
	case err != nil || n == 0:
		return gone
	}
	return spoke
}

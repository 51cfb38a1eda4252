//go:build unix

package listener

import "syscall"

const canPeek = true

// hungUp reports whether a caller has ended their side, and nothing they sent is left
// to be read. What they have sent stays unread.
func hungUp(socket syscall.RawConn) bool {
	var n int
	var err error
	if socket.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
	}) != nil {
		return true // closed on this side
	}
	return n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
}

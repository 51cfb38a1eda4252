//go:build unix

package proxy

import "syscall"

// nothingToRead reports whether a socket is open and has nothing to read. Were
// there a byte, it would be taken: a connection that holds one is of no use.
func nothingToRead(fd uintptr) bool {
	var b [1]byte
	_, err := syscall.Read(int(fd), b[:])
	return err == syscall.EAGAIN
}

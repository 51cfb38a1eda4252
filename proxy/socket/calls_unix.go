//go:build unix && !(linux && (amd64 || arm64) && !race)

package socket

import "syscall"

const supported = true

// The race detector sees these calls, and not those that are not announced.

func receive(fd uintptr, p []byte) (int, syscall.Errno) {
	return call(func() (int, error) { return syscall.Read(int(fd), p) })
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	return call(func() (int, error) { return syscall.Write(int(fd), p) })
}

func peek(fd uintptr) (int, syscall.Errno) {
	return call(func() (int, error) {
		var p [1]byte
		n, _, err := syscall.Recvfrom(int(fd), p[:], syscall.MSG_PEEK)
		return n, err
	})
}

func call(made func() (int, error)) (int, syscall.Errno) {
	for {
		n, err := made()
		errno, _ := err.(syscall.Errno) //nolint:errorlint // package syscall returns no others
		if errno != syscall.EINTR {
			return n, errno
		}
	}
}

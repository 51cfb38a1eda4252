//go:build linux && (amd64 || arm64) && !race

package socket

import (
	"syscall"
	"unsafe"
)

const supported = true

func receive(fd uintptr, p []byte) (int, syscall.Errno) {
	return call(syscall.SYS_RECVFROM, fd, p, 0)
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	return call(syscall.SYS_SENDTO, fd, p, syscall.MSG_NOSIGNAL)
}

func peek(fd uintptr) (int, syscall.Errno) {
	var p [1]byte
	return call(syscall.SYS_RECVFROM, fd, p[:], syscall.MSG_PEEK)
}

// call makes a call that does not wait, even where somebody has made the socket wait
// ([os.File.Fd] does): a processor would wait with it, and after all of them the whole
// process. There is at least one byte in p.
func call(trap, fd uintptr, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), flags|syscall.MSG_DONTWAIT, 0, 0) //nolint:gosec // that is what this package is for
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

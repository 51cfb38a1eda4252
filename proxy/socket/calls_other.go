//go:build !unix

package socket

import "syscall"

const supported = false

func receive(uintptr, []byte) (int, syscall.Errno) { return 0, syscall.ENOTSUP }
func send(uintptr, []byte) (int, syscall.Errno)    { return 0, syscall.ENOTSUP }
func peek(uintptr) (int, syscall.Errno)            { return 0, syscall.ENOTSUP }

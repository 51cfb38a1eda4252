//go:build !unix

package listener

import "syscall"

const canPeek = false

func hungUp(syscall.RawConn) bool { return false }

package config

// WorstCaseMemory is how much memory a process with these settings needs, in bytes,
// when strangers and callers take all that the settings allow at once. The figures
// are resident memory as measured by test/operate, rounded up; answers that stream
// are in a request's share.
//
//	the program, its caches, and the lines that wait to be written   64 MiB
//	a connection: its goroutine, buffers, and TLS                    64 KiB
//	  its header, as text and as net/http's map                      twice server.max_header_bytes
//	  its request: a small body, and the buffers of an answer        128 KiB
//	the large bodies that are being read, with room to grow          3.5 × 32 MiB, or the largest body
//
// A request over HTTP/2 counts as a connection: there are no more of them.
func (c *Config) WorstCaseMemory() int64 {
	const kib, mib = 1 << 10, 1 << 20
	connection := int64(64*kib) + 2*int64(c.Server.MaxHeaderBytes) + 128*kib
	bodies := max(32*mib, int64(c.Limits.MaxBodyBytes)) * 7 / 2
	return 64*mib + int64(c.Server.MaxConnections)*connection + bodies
}

package upstream

import "net"

// tlsRecords reads from a connection below TLS and follows where its records end
// (RFC 8446, section 5.1), because what TLS holds of one that has begun shows
// nowhere else.
type tlsRecords struct {
	net.Conn
	header [5]byte // a type, a version, and the length of what follows
	have   int     // bytes of the header
	left   int     // bytes of the record behind it
}

// whole reports whether all that came are whole records.
func (r *tlsRecords) whole() bool { return r.have == 0 && r.left == 0 }

func (r *tlsRecords) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	for b := p[:n]; len(b) > 0; {
		if r.left > 0 {
			k := min(r.left, len(b))
			r.left, b = r.left-k, b[k:]
			continue
		}
		k := copy(r.header[r.have:], b)
		r.have, b = r.have+k, b[k:]
		if r.have == len(r.header) {
			r.have, r.left = 0, int(r.header[3])<<8|int(r.header[4])
		}
	}
	return n, err
}

package record

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// client is who asked: the peer, or who it says has asked it where it is one of the
// trusted proxies. Every hop adds its own peer at the end of X-Forwarded-For, so
// what is left of the last address that no trusted proxy has is the caller's word.
func (p *Recorder) client(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap().WithZone("")
	lines := r.Header["X-Forwarded-For"]
	for _, line := range slices.Backward(lines) {
		for rest := line; rest != ""; {
			if !p.trusts(client) {
				return client
			}
			hop := rest
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, hop = rest[:comma], rest[comma+1:]
			} else {
				rest = ""
			}
			addr, ok := hopAddress(strings.TrimSpace(hop))
			if !ok {
				return client // whoever wrote this is the last that we know
			}
			client = addr
		}
	}
	return client
}

// hopAddress reads an address as proxies write it, with a port or without.
func hopAddress(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		withPort, portErr := netip.ParseAddrPort(s)
		addr, err = withPort.Addr(), portErr
	}
	return addr.Unmap().WithZone(""), err == nil
}

func (p *Recorder) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(p.TrustedProxies, func(n netip.Prefix) bool { return n.Contains(a) })
}

package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// A front is what the demo's address shows: promfence, and beside its console the
// two tokens that the console asks with, which it keeps in memory. promfence itself
// gives nobody a token.
type front struct {
	url    string
	server *http.Server
}

// startFront serves on an address what the program at target serves.
func startFront(listener net.Listener, target *url.URL, i *issuer, behind *server) (*front, error) {
	type identity struct {
		Name  string `json:"name"`
		Token string `json:"token"`
	}
	var identities []identity
	for _, tenant := range []string{"acme", "globex"} {
		token, err := i.token(tenant)
		if err != nil {
			return nil, err
		}
		identities = append(identities, identity{tenant, token})
	}
	mux := http.NewServeMux()
	mux.Handle("/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}})
	mux.HandleFunc("GET /console/settings.json", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"demo": map[string]any{"identities": identities, "received": "console/received.json"}})
	})
	mux.HandleFunc("GET /console/received.json", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, append([]string{}, behind.take()...))
	})
	f := &front{url: "http://" + reachable(listener.Addr().String()), server: &http.Server{Handler: mux}}
	go func() { _ = f.server.Serve(listener) }() // it ends with stop
	return f, nil
}

func (f *front) stop() { _ = f.server.Close() }

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the browser may be gone
}

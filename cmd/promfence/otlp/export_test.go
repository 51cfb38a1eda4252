package otlp

import "net/http"

// SetTransport has requests go to somebody else than the network.
func (e *Exporter) SetTransport(t http.RoundTripper) { e.client.Transport = t }

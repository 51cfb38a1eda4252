package proxy

import (
	"io"
	"net/http"
	"strings"

	"github.com/promfence/promfence/proxy/answer"
)

var zipped, plain = []string{"gzip"}, []string{"identity"}

// acceptEncoding is what the upstream may answer in: gzip if the caller takes
// it, or plain. Both can be read on the way.
func acceptEncoding(h http.Header) []string {
	for _, line := range h["Accept-Encoding"] {
		for coding := range strings.SplitSeq(line, ",") {
			name, q, _ := strings.Cut(coding, ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") && !zeroQuality(q) {
				return zipped
			}
		}
	}
	return plain
}

func zeroQuality(q string) bool {
	q = strings.ReplaceAll(q, " ", "")
	return strings.HasPrefix(q, "q=0") && strings.Trim(q, "q=0.") == ""
}

// plainBody undoes the encoding of an answer.
func plainBody(resp *http.Response) (io.Reader, error) { return answer.Plain(resp) }

// readError reads the body of an upstream's error.
func readError(resp *http.Response) []byte { return answer.ErrorText(resp) }

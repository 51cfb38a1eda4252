package scope

import (
	"net/url"
	"testing"
)

func TestUnescapedAsURLsAre(t *testing.T) {
	for _, text := range []string{"", "a", "a+b", "%41%62", "%C3%A9", "%zz", "%4", "%", "a%", "%4g", "%g4", "100%25", "a%00b", "+%2B+", "é", "\xff", "%ff%FF%aA"} {
		want, err := url.QueryUnescape(text)
		got, ok := unescapeTo(nil, []byte(text))
		if string(got) != want || ok != (err == nil) {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
}

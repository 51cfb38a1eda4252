package policy_test

import (
	"strings"
	"testing"

	"github.com/promfence/promfence/auth/policy"
)

func TestCheckValue(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		ok          bool
	}{
		{"plain", "acme", true},
		{"one character", "a", true},
		{"regular expression's characters", "a.*|b", true},
		{"quotes and braces", `a"},b={"`, true},
		{"other scripts", "アクメ株式会社", true},
		{"spaces around, which are part of it", " acme ", true},
		{"256 bytes", strings.Repeat("x", 256), true},
		{"257 bytes", strings.Repeat("x", 257), false},
		{"257 bytes in fewer characters", strings.Repeat("é", 129), false},
		{"empty", "", false},
		{"a space", " ", false},
		{"a no-break space", "\u00a0", false},
		{"a zero-width space", "\u200b", false},
		{"a byte order mark", "\ufeff", false},
		{"NUL inside", "ac\x00me", false},
		{"line break", "acme\n", false},
		{"tab", "\tacme", false},
		{"DEL", "acme\x7f", false},
		{"C1 control", "acme\u0085", false},
		{"line separator", "acme\u2028", false},
		{"invalid UTF-8", "ac\xffme", false},
		{"overlong UTF-8", "\xc0\xafacme", false},
		{"surrogate in UTF-8", "\xed\xa0\x80", false},
		{"replacement character", "acme\ufffd", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := policy.CheckValue(tt.value)
			if (err == nil) != tt.ok {
				t.Fatalf("CheckValue(%q): %v", tt.value, err)
			}
			if err != nil && strings.TrimSpace(tt.value) != "" && strings.Contains(err.Error(), tt.value) {
				t.Errorf("the error repeats the value: %v", err)
			}
		})
	}
}

package scope

import (
	"bytes"
	"sync"

	"github.com/promfence/promfence/proxy/apierr"
)

// maxParams bounds the parameters of one request, known and unknown, beside its
// selectors.
const maxParams = 1000

// matchParam is the name of selectors, which have a bound of their own.
const matchParam = "match[]"

// A paramScanner reads parameters out of a buffer that is lent, and gathers the
// values of those that are known at the buffer's beginning: an unescaped text is
// never longer than the escaped one.
type paramScanner struct {
	known  []string
	count  int // of parameters that are no selectors
	room   int // for more selectors
	limit  int // of selectors
	buf    []byte
	kept   int // bytes of known values
	params Params
	ends   []int // of the params' values
}

// scanners lends paramScanners.
var scanners = sync.Pool{New: func() any { return new(paramScanner) }}

// Read reads the parameters out of a buffer that holds a query string, "&" and a
// form, and overwrites it. It refuses what two parsers could read differently (";", a
// single-valued parameter with two values) and drops what is not known: a megabyte of
// it is not held while the upstream thinks. Selectors are bounded by maxSelectors.
func (ps *Params) Read(buf []byte, known []string, maxSelectors int) error {
	s, _ := scanners.Get().(*paramScanner)
	defer func() {
		*s = paramScanner{ends: s.ends[:0]}
		scanners.Put(s)
	}()
	s.known, s.buf, s.params = known, buf, make(Params, 0, 8)
	s.room, s.limit = maxSelectors, maxSelectors
	for rest := buf; len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte{'&'})
		if len(pair) == 0 {
			continue
		}
		if err := s.read(pair); err != nil {
			return err
		}
	}
	values := string(buf[:s.kept]) // the only copy: what is known, and nothing beside it
	from, counted := 0, s.params[:0]
	for i, end := range s.ends {
		if name := s.params[i].Name; name != superseded {
			counted = append(counted, param{name, values[from:end]})
		}
		from = end
	}
	*ps = counted
	return nil
}

// superseded is the name of a parameter in whose place a stricter one came.
const superseded = ""

// read takes one parameter, or drops it.
func (s *paramScanner) read(pair []byte) error {
	if bytes.IndexByte(pair, ';') >= 0 {
		return apierr.BadData(`";" is not accepted between parameters: separate them with "&", or write %%3B inside a value`)
	}
	rawName, rawValue, _ := bytes.Cut(pair, []byte{'='})
	name, ok := unescapeTo(s.buf[s.kept:s.kept], rawName)
	if !ok {
		return apierr.BadData("a parameter's name is not valid percent-encoding")
	}
	known, isKnown := s.lookup(name)
	if err := s.charge(known); err != nil {
		return err
	}
	value, ok := unescapeTo(rawValue[:0], rawValue)
	if !ok {
		return apierr.BadData("invalid parameter %q: not valid percent-encoding", apierr.Clip(string(name)))
	}
	if !isKnown {
		return nil
	}
	if !multiple(known) {
		for i, p := range s.params {
			if p.Name != known {
				continue
			}
			if bytes.Equal(s.value(i), value) {
				return nil
			}
			if replace, err := stricter(known, string(s.value(i)), string(value)); err != nil || !replace {
				return err
			}
			s.params[i].Name = superseded
			break
		}
	}
	s.kept += copy(s.buf[s.kept:], value)
	s.params, s.ends = append(s.params, param{Name: known}), append(s.ends, s.kept)
	return nil
}

// charge counts a parameter: a selector that the row knows, or any other.
func (s *paramScanner) charge(known string) error {
	if known == matchParam {
		if s.room--; s.room < 0 {
			return apierr.BadData("too many match[] parameters: at most %d are accepted (limits.max_selectors)", s.limit).OverLimit("max_selectors")
		}
		return nil
	}
	if s.count++; s.count > maxParams {
		return apierr.BadData("too many parameters: at most %d are accepted", maxParams)
	}
	return nil
}

// lookup returns the row's own spelling of a parameter's name, if the row has it.
func (s *paramScanner) lookup(name []byte) (known string, ok bool) {
	for _, known := range s.known {
		if known == string(name) {
			return known, true
		}
	}
	return "", false
}

func (s *paramScanner) value(i int) []byte {
	from := 0
	if i > 0 {
		from = s.ends[i-1]
	}
	return s.buf[from:s.ends[i]]
}

// unescapeTo appends src to dst, unescaped as url.QueryUnescape does it. dst may
// be the same memory, up to where src begins.
func unescapeTo(dst, src []byte) ([]byte, bool) {
	for i := 0; i < len(src); i++ {
		c := src[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(src) {
				return nil, false
			}
			high, ok1 := fromHex(src[i+1])
			low, ok2 := fromHex(src[i+2])
			if !ok1 || !ok2 {
				return nil, false
			}
			c, i = high<<4|low, i+2
		}
		dst = append(dst, c)
	}
	return dst, true
}

// fromHex is the value of a hexadecimal digit.
func fromHex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10, true
	}
	return 0, false
}

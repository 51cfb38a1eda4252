package remoteread

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/promfence/promfence/proxy/promql"
)

// The messages of remote read as Prometheus's prompb/remote.proto numbers them.
// They are read and written here field by field: what is not named here is not
// passed on, and the generated code would be a twentieth of the binary.
type (
	readRequest struct {
		queries []readQuery // 1
		types   []uint64    // 2
	}
	readQuery struct {
		start, end int64         // 1, 2: milliseconds since 1970
		matchers   []readMatcher // 3
		hints      *readHints    // 4
	}
	readMatcher struct {
		kind        uint64 // 1
		name, value string // 2, 3
	}
	readHints struct {
		step     int64    // 1
		function string   // 2
		start    int64    // 3
		end      int64    // 4
		grouping []string // 5
		by       bool     // 6
		length   int64    // 7
	}
)

// A wireField is one field of an encoded message.
type wireField struct {
	number protowire.Number
	kind   protowire.Type
	varint uint64
	bytes  []byte
}

// eachField visits the fields of a message in order.
func eachField(message []byte, visit func(wireField) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return malformed(protowire.ParseError(n))
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(number, kind, message)
		if size < 0 {
			return malformed(protowire.ParseError(size))
		}
		f := wireField{number: number, kind: kind}
		switch kind {
		case protowire.VarintType:
			f.varint, _ = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			f.bytes, _ = protowire.ConsumeBytes(message)
		}
		if err := visit(f); err != nil {
			return err
		}
		message = message[size:]
	}
	return nil
}

// want refuses a known field in a foreign encoding, as the upstream would.
func (f wireField) want(kind protowire.Type) error {
	if f.kind != kind {
		return malformed(fmt.Errorf("field %d has wire type %d, want %d", f.number, f.kind, kind))
	}
	return nil
}

// set reads a field of a scalar or string type; a later one replaces an earlier.
func (f wireField) set(target any) error {
	switch target := target.(type) {
	case *int64:
		*target = int64(f.varint) //nolint:gosec // G115: protobuf's own conversion
		return f.want(protowire.VarintType)
	case *uint64:
		*target = f.varint
		return f.want(protowire.VarintType)
	case *bool:
		*target = f.varint != 0
		return f.want(protowire.VarintType)
	case *string:
		*target = string(f.bytes)
		return f.want(protowire.BytesType)
	default:
		return fmt.Errorf("%w: a field of type %T", promql.ErrVerify, target)
	}
}

// parse reads a request. With exact, a field that is not known is an error
// instead of being dropped.
func (r *readRequest) parse(message []byte, exact bool) error {
	return eachField(message, func(f wireField) error {
		switch f.number {
		case 1:
			var q readQuery
			if err := f.want(protowire.BytesType); err != nil {
				return err
			}
			err := q.parse(f.bytes, exact)
			r.queries = append(r.queries, q)
			return err
		case 2:
			return r.parseTypes(f)
		}
		return unknown(f, exact)
	})
}

// parseTypes reads one response type, or a packed list of them.
func (r *readRequest) parseTypes(f wireField) error {
	if f.kind == protowire.VarintType {
		r.addType(f.varint)
		return nil
	}
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	for packed := f.bytes; len(packed) > 0; {
		v, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return malformed(protowire.ParseError(n))
		}
		r.addType(v)
		packed = packed[n:]
	}
	return nil
}

// unknownType stands for every response type but SAMPLES, which is 0, and
// STREAMED_XOR_CHUNKS, which is 1.
const unknownType = 2

// addType keeps each type once, the unknown ones as one: a megabyte of them is no
// reason to hold many more.
func (r *readRequest) addType(t uint64) {
	if t = min(t, unknownType); !slices.Contains(r.types, t) {
		r.types = append(r.types, t)
	}
}

func (q *readQuery) parse(message []byte, exact bool) error {
	return eachField(message, func(f wireField) error {
		switch f.number {
		case 1:
			return f.set(&q.start)
		case 2:
			return f.set(&q.end)
		case 3:
			var m readMatcher
			if err := f.want(protowire.BytesType); err != nil {
				return err
			}
			err := m.parse(f.bytes, exact)
			q.matchers = append(q.matchers, m)
			return err
		case 4:
			if err := f.want(protowire.BytesType); err != nil {
				return err
			}
			if q.hints == nil { // a second one adds to the first
				q.hints = &readHints{}
			}
			return q.hints.parse(f.bytes, exact)
		}
		return unknown(f, exact)
	})
}

func (m *readMatcher) parse(message []byte, exact bool) error {
	return eachField(message, func(f wireField) error {
		switch f.number {
		case 1:
			return f.set(&m.kind)
		case 2:
			return f.set(&m.name)
		case 3:
			return f.set(&m.value)
		}
		return unknown(f, exact)
	})
}

func (h *readHints) parse(message []byte, exact bool) error {
	return eachField(message, func(f wireField) error {
		switch f.number {
		case 1:
			return f.set(&h.step)
		case 2:
			return f.set(&h.function)
		case 3:
			return f.set(&h.start)
		case 4:
			return f.set(&h.end)
		case 5:
			var label string
			err := f.set(&label)
			h.grouping = append(h.grouping, label)
			return err
		case 6:
			return f.set(&h.by)
		case 7:
			return f.set(&h.length)
		}
		return unknown(f, exact)
	})
}

func unknown(f wireField, exact bool) error {
	if exact {
		return fmt.Errorf("%w: field %d", promql.ErrVerify, f.number)
	}
	return nil
}

func (r *readRequest) append(b []byte) []byte {
	for _, q := range r.queries {
		b = appendMessage(b, 1, q.append(nil))
	}
	for _, t := range r.types {
		b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), t)
	}
	return b
}

func (q *readQuery) append(b []byte) []byte {
	b = appendNumber(b, 1, q.start)
	b = appendNumber(b, 2, q.end)
	for _, m := range q.matchers {
		inner := appendNumber(nil, 1, int64(m.kind)) //nolint:gosec // G115: one of four
		inner = appendText(inner, 2, m.name)
		b = appendMessage(b, 3, appendText(inner, 3, m.value))
	}
	if h := q.hints; h != nil {
		inner := appendNumber(nil, 1, h.step)
		inner = appendText(inner, 2, h.function)
		inner = appendNumber(inner, 3, h.start)
		inner = appendNumber(inner, 4, h.end)
		for _, label := range h.grouping {
			inner = appendMessage(inner, 5, []byte(label))
		}
		if h.by {
			inner = appendNumber(inner, 6, 1)
		}
		b = appendMessage(b, 4, appendNumber(inner, 7, h.length))
	}
	return b
}

func appendMessage(b []byte, number protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), message)
}

// appendNumber and appendText leave zero values out, as proto3 does.
func appendNumber(b []byte, number protowire.Number, n int64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), uint64(n)) //nolint:gosec // G115: protobuf's own conversion
}

func appendText(b []byte, number protowire.Number, text string) []byte {
	if text == "" {
		return b
	}
	return appendMessage(b, number, []byte(text))
}

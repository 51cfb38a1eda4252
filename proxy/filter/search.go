package filter

import (
	"errors"
	"io"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/promfence/promfence/proxy/apierr"
)

// CheckSearch refuses what Prometheus refuses about include_metadata of
// /api/v1/search/metric_names, which promfence applies itself and does not forward.
// The text is Prometheus's.
func (v View) CheckSearch() error {
	_, err := includeMetadata(v.Params)
	return err
}

func includeMetadata(params url.Values) (bool, error) {
	s := params.Get("include_metadata")
	if s == "" {
		return false, nil
	}
	include, err := strconv.ParseBool(s)
	if err != nil {
		return false, apierr.BadData("invalid include_metadata %q: must be boolean", s)
	}
	return include, nil
}

// MetricNames copies an answer of /api/v1/search/metric_names, a stream of lines
// each of which is an object. Its names are the identity's own: the request's
// selectors say so. Type, help and unit of them are not the upstream's, which are
// anybody's, but those that /api/v1/metadata shows, and only if the caller asked
// for them.
//
// Each line is flushed, so that the answer streams. The texts of warnings and
// errors pass as they are: whoever calls MetricNames has hidden what may not.
func (v View) MetricNames(dst io.Writer, src io.Reader) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	f := &searchFilter{answer: a}
	if f.include, err = includeMetadata(v.Params); err != nil {
		return err
	}
	if f.include && v.Families == nil {
		return errors.New("MetricNames was called without the identity's metadata")
	}
	for lines := 0; ; lines++ {
		_, err := a.peek()
		if err != nil && lines > 0 && errors.Is(a.err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f.line()
		}
		if err != nil {
			return a.explain(err)
		}
		a.write("\n")
		if err := a.out.Flush(); err != nil {
			return err
		}
	}
}

type searchFilter struct {
	*answer
	include  bool
	families *Families // once they were needed
}

// line copies a line: a batch of results, or the trailer, or an error.
func (f *searchFilter) line() error {
	n := 0
	f.write(`{`)
	err := f.object(func(name string) error {
		switch name {
		case "results", "warnings", "status", "has_more", "errorType", "error":
		default:
			return f.value()
		}
		f.comma(n)
		n++
		f.write(`"` + name + `":`)
		if name == "results" {
			return f.results()
		}
		f.element = hold{bytes: f.element.bytes[:0]}
		if err := f.keepValue(); err != nil {
			return err
		}
		return f.writeHeld("a line of the answer")
	})
	f.write(`}`)
	return err
}

// writeHeld writes the value that was read, if it is strict JSON.
func (f *searchFilter) writeHeld(what string) error {
	value := f.mended()
	if f.element.over {
		return oversized("%s", what)
	}
	if !value.IsValid() {
		return badAnswer("a value of it is not strict JSON")
	}
	f.writeBytes(value)
	return nil
}

func (f *searchFilter) results() error {
	if isNull, err := f.null(); isNull || err != nil {
		f.write(`null`)
		return err
	}
	n := 0
	f.write(`[`)
	err := f.array(func() error {
		f.comma(n)
		n++
		return f.result()
	})
	f.write(`]`)
	return err
}

// result copies a name and its score, and adds what the metric's metadata is.
func (f *searchFilter) result() error {
	f.element = hold{bytes: append(f.element.bytes[:0], '{')}
	var metric string
	n := 0
	err := f.object(func(name string) error {
		if name != "name" && name != "score" {
			return f.value()
		}
		if n++; n > 1 {
			f.element.add([]byte{','})
		}
		f.element.add([]byte(`"` + name + `":`))
		if name == "score" {
			return f.keepValue()
		}
		return f.keeping(&f.element, func() error {
			text, _, err := f.text(maxName)
			metric = string(text)
			return err
		})
	})
	if err != nil {
		return err
	}
	if f.include && f.families == nil {
		families, err := f.view.Families()
		if err != nil {
			return err
		}
		f.families = &families
	}
	if f.families != nil {
		f.addMetadata(metric)
	}
	f.element.add([]byte{'}'})
	return f.writeHeld("a metric's name")
}

// addMetadata adds what is known of a metric, as Prometheus does: what is empty is
// not there.
func (f *searchFilter) addMetadata(metric string) {
	text, ok := f.families.texts[metric]
	if !ok {
		return
	}
	f.element.add([]byte(`,"type":"` + text.kind + `"`))
	for _, member := range []struct{ name, value string }{{"help", text.help}, {"unit", text.unit}} {
		if member.value != `""` {
			f.element.add([]byte(`,"` + member.name + `":` + member.value))
		}
	}
}

// Families are what may be said of an identity's metrics: the first of the entries
// that /api/v1/metadata shows of each. They hold no part of the answer that they
// were read from.
type Families struct {
	texts map[string]familyText
	bytes int
}

// Size is about how much memory the families take.
func (f Families) Size() int { return f.bytes + mapEntry*len(f.texts) }

// ReadFamilies reads an answer of /api/v1/metadata, as [Metadata] would show it.
func (v View) ReadFamilies(src io.Reader) (Families, error) {
	all := Families{texts: map[string]familyText{}}
	v.Params = nil
	f, err := newMetadataFilter(io.Discard, src, v)
	if err != nil {
		return Families{}, err
	}
	f.show = func(e family) error {
		text, err := f.first(e)
		if err != nil || text == (familyText{}) {
			return err
		}
		if all.bytes += len(e.name) + len(text.help) + len(text.unit); all.bytes > maxElement {
			return oversized("the metadata of your metrics, up to %q,", clipTitle([]byte(e.name)))
		}
		all.texts[e.name] = text
		return nil
	}
	if err := f.run(); err != nil {
		return Families{}, err
	}
	return all, nil
}

// first is the first entry that is shown of a family, or nothing.
func (f *metadataFilter) first(e family) (familyText, error) {
	texts := f.texts[e.name]
	switch {
	case f.view.SharedMetadata && len(e.shared) > 0:
		members, err := f.split(f.fields[:0], e.shared[0])
		if err != nil {
			return familyText{}, err
		}
		kind, err := f.unquote(find(members, "type"))
		return familyText{knownType(kind), textOf(members, "help"), textOf(members, "unit")}, err
	case f.view.SharedMetadata && len(e.hidden) > 0:
		return familyText{e.hidden[0], `""`, `""`}, nil
	case e.count == 0:
		return familyText{}, nil
	case len(texts) == 0:
		return familyText{e.kind, `""`, `""`}, nil
	default:
		return texts[0], nil
	}
}

// textOf is the text of a member as it is spelled, or the empty one.
func textOf(members []member, name string) string {
	if v := find(members, name); v.Kind() == jsontext.Kind('"') {
		return string(v)
	}
	return `""`
}

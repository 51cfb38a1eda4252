package filter

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// entry reads the entry of a family that comes next.
func (f *metadataFilter) entry(e *family) error {
	e.count++
	share := f.view.SharedMetadata && f.cut(e.count) == e.count
	f.element = hold{bytes: f.element.bytes[:0], over: !share}
	var kind string
	err := f.keeping(&f.element, func() (err error) {
		kind, err = f.entryType()
		return err
	})
	if err != nil {
		return err
	}
	if e.count == 1 {
		e.kind = kind
	}
	if e.kind != kind {
		e.kind = "unknown"
	}
	e.has = e.has || len(f.texts[e.name]) == 0 && f.hasUndescribed(e.name, kind)
	if share {
		f.share(e, kind)
	}
	return nil
}

// entryType reads an entry, of which only the TYPE is of interest.
func (f *metadataFilter) entryType() (kind string, err error) {
	err = f.members(maxFieldName, func(name []byte, _ bool) error {
		switch {
		case string(name) != "type":
			return f.value()
		case kind != "":
			return errTwice
		}
		text, _, err := f.text(maxFieldName)
		kind = knownType(text)
		return err
	})
	if err == nil && kind == "" {
		err = badAnswer("an entry has no type")
	}
	return kind, err
}

// share keeps the entry that was read. It may be anybody's: one that is too large
// or strange is shown without its texts.
func (f *metadataFilter) share(e *family, kind string) {
	entry := f.mended()
	var err error
	f.fields, err = f.split(f.fields[:0], entry)
	if f.element.over || err != nil || e.bytes+len(entry) > maxElement {
		if !slices.Contains(e.hidden, kind) {
			e.hidden = append(e.hidden, kind)
		}
		return
	}
	e.bytes += len(entry)
	e.shared = append(e.shared, entry.Clone())
}

// knownType keeps free text out of TYPE.
func knownType(text []byte) string {
	switch kind := string(text); kind {
	case "counter", "gauge", "gaugehistogram", "histogram", "info", "stateset", "summary":
		return kind
	default:
		return "unknown"
	}
}

func (f *metadataFilter) writeFamily(e family) error {
	quoted, err := jsontext.AppendQuote(nil, e.name)
	if err != nil {
		return err
	}
	f.writeBytes(quoted)
	f.write(`:[`)
	switch texts := f.texts[e.name]; {
	case f.view.SharedMetadata:
		for i, entry := range e.shared {
			f.comma(i)
			f.writeBytes(entry)
		}
		for i, kind := range e.hidden {
			f.comma(len(e.shared) + i)
			f.writeText(familyText{kind, `""`, `""`})
		}
	case e.count > 0 && len(texts) == 0:
		f.writeText(familyText{e.kind, `""`, `""`})
	case e.count > 0:
		for i, t := range texts[:f.cut(len(texts))] {
			f.comma(i)
			f.writeText(t)
		}
	}
	f.write(`]`)
	return nil
}

func (f *metadataFilter) writeText(t familyText) {
	f.write(`{"type":"` + t.kind + `","help":` + t.help + `,"unit":` + t.unit + `}`)
}

// cut applies limit_per_metric, of which zero is none.
func (f *metadataFilter) cut(n int) int {
	if f.perFamily > 0 {
		return min(n, f.perFamily)
	}
	return n
}

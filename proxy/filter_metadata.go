package proxy

import (
	"errors"
	"io"
	"net/url"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// checkMetadataParams refuses what Prometheus refuses about the limits of
// /api/v1/metadata and /api/v1/targets/metadata, which promfence applies itself
// and does not forward. The texts are Prometheus's.
func checkMetadataParams(params url.Values) error {
	_, err := limitParam(params, "limit")
	if err == nil {
		_, err = limitParam(params, "limit_per_metric")
	}
	return err
}

// limitParam is -1 when there is no limit.
func limitParam(params url.Values, name string) (int, error) {
	s := params.Get(name)
	if s == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, badData("%s must be a number", name)
	}
	return max(n, -1), nil
}

// filterMetadata shows the metric families that the tenants have series of, with
// what the tenants' own targets say of them. Where these say nothing, HELP and
// UNIT stay empty and a TYPE is shown when all agree on it. With
// tenancy.shared_metadata all is shown that anybody says of these families.
func filterMetadata(dst io.Writer, src io.Reader, v view) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	f := &metadataFilter{answer: a, shown: map[string]bool{}}
	if f.limit, err = limitParam(v.params, "limit"); err != nil {
		return err
	}
	if f.perFamily, err = limitParam(v.params, "limit_per_metric"); err != nil {
		return err
	}
	if v.families == nil {
		return errors.New("filterMetadata was called without the tenants' families")
	}
	if f.names, err = v.families(v.ctx); err != nil {
		return err
	}
	if v.texts != nil {
		if f.texts, err = v.texts(v.ctx); err != nil {
			return err
		}
		f.told = seriesOf(f.texts)
	}
	return a.filter(func() error {
		a.write(`{`)
		err := a.members(f.family) // as many as there are, so only those shown are remembered
		a.write(`}`)
		return err
	})
}

type metadataFilter struct {
	*answer
	limit, perFamily int
	names            map[string]bool         // of the tenants' series
	texts            map[string][]familyText // of the tenants' own targets
	told             map[string]bool         // the series that these are about
	shown            map[string]bool

	list    []jsontext.Value
	members []member
}

// family shows the entries of one family, or nothing.
func (f *metadataFilter) family(name string) error {
	if !f.mayHave(name) || f.limit >= 0 && len(f.shown) >= f.limit {
		return f.skip()
	}
	raw, err := f.value()
	if err != nil {
		return err
	}
	entries, err := f.answer.list(f.list[:0], raw)
	if err != nil {
		return err
	}
	f.list = entries
	kind, has, err := f.kind(name, entries)
	if err != nil || !has {
		return err
	}
	if f.shown[name] {
		return badAnswer("a family comes twice")
	}
	f.comma(len(f.shown))
	f.shown[name] = true
	return f.writeFamily(name, kind, entries)
}

// familySuffixes are what the series of a family add to its name, by TYPE: those
// of Prometheus's text format and of OpenMetrics 1.0, first the ones that none
// lacks. A family without them, a native histogram for one, has series of its
// own name.
var familySuffixes = map[string]struct{ always, also []string }{
	"counter":        {always: []string{"_total"}, also: []string{"_created"}},
	"gaugehistogram": {always: []string{"_bucket", "_gcount", "_gsum"}},
	"histogram":      {always: []string{"_bucket", "_count", "_sum"}, also: []string{"_created"}},
	"info":           {always: []string{"_info"}},
	"summary":        {always: []string{"_count", "_sum"}, also: []string{"_created"}},
}

// mayHave is a quick look, before a family's TYPE is known.
func (f *metadataFilter) mayHave(name string) bool {
	for kind := range familySuffixes {
		if f.hasSome(name, kind) {
			return true
		}
	}
	return false
}

// hasSome is for a TYPE that the tenants' own targets tell.
func (f *metadataFilter) hasSome(name, kind string) bool {
	has := func(suffix string) bool { return f.names[name+suffix] }
	suffixes := familySuffixes[kind]
	return has("") || slices.ContainsFunc(suffixes.always, has) || slices.ContainsFunc(suffixes.also, has)
}

// hasAll is for a TYPE that others tell. A tenant's jobs_count must not tell them
// of somebody's summary named jobs, so all that such a family has must be there,
// and none of it as a part of what the tenants' own targets tell.
func (f *metadataFilter) hasAll(name, kind string) bool {
	lacks := func(suffix string) bool { return !f.names[name+suffix] || f.told[name+suffix] }
	suffixes := familySuffixes[kind].always
	return !lacks("") || len(suffixes) > 0 && !slices.ContainsFunc(suffixes, lacks)
}

// seriesOf are the names of the series that families may have.
func seriesOf(families map[string][]familyText) map[string]bool {
	all := map[string]bool{}
	for name, texts := range families {
		all[name] = true
		for _, t := range texts {
			suffixes := familySuffixes[t.kind]
			for _, suffix := range slices.Concat(suffixes.always, suffixes.also) {
				all[name+suffix] = true
			}
		}
	}
	return all
}

// kind returns the TYPE of a family that the tenants' own targets do not tell of:
// the one that all entries agree on, else unknown. And it returns whether the
// tenants have series of the family.
func (f *metadataFilter) kind(name string, entries []jsontext.Value) (kind string, has bool, err error) {
	if own := f.texts[name]; len(own) > 0 {
		return "", slices.ContainsFunc(own, func(t familyText) bool { return f.hasSome(name, t.kind) }), nil
	}
	has = f.hasAll(name, "")
	for i, entry := range entries {
		members, err := f.split(f.members[:0], entry)
		if err != nil {
			return "", false, err
		}
		f.members = members
		text, err := f.unquote(find(members, "type"))
		if err != nil {
			return "", false, err
		}
		said := knownKind(text)
		if i == 0 {
			kind = said
		}
		has = has || f.hasAll(name, said)
		if kind != said {
			kind = "unknown"
		}
	}
	return kind, has, nil
}

// knownKind keeps free text out of TYPE.
func knownKind(text []byte) string {
	switch kind := string(text); kind {
	case "counter", "gauge", "gaugehistogram", "histogram", "info", "stateset", "summary":
		return kind
	default:
		return "unknown"
	}
}

func (f *metadataFilter) writeFamily(name, kind string, entries []jsontext.Value) error {
	quoted, err := jsontext.AppendQuote(nil, name)
	if err != nil {
		return err
	}
	f.writeBytes(quoted)
	f.write(`:[`)
	switch texts := f.texts[name]; {
	case f.view.sharedMetadata:
		for i, entry := range entries[:f.cut(len(entries))] {
			f.comma(i)
			f.writeBytes(entry)
		}
	case len(entries) > 0:
		if len(texts) == 0 {
			texts = []familyText{{kind: kind, help: `""`, unit: `""`}}
		}
		for i, t := range texts[:f.cut(len(texts))] {
			f.comma(i)
			f.write(`{"type":"` + t.kind + `","help":` + t.help + `,"unit":` + t.unit + `}`)
		}
	}
	f.write(`]`)
	return nil
}

// cut applies limit_per_metric, of which zero is none.
func (f *metadataFilter) cut(n int) int {
	if f.perFamily > 0 {
		return min(n, f.perFamily)
	}
	return n
}

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

// filterMetadata shows the metric families that the tenants have series of. What
// anybody wrote as HELP or UNIT is shown from the tenants' own targets, or from
// all with tenancy.shared_metadata. A TYPE is shown when all agree on it.
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

	fields []member // of the entry that is read
}

// family shows the entries of one family, or nothing. They are read one by one:
// others may have as many as they like.
func (f *metadataFilter) family(name string) error {
	if !f.mayHave(name) || f.limit >= 0 && len(f.shown) >= f.limit {
		return f.skip()
	}
	e := entries{has: f.hasToldItself(name)}
	if isNull, err := f.null(); err != nil {
		return err
	} else if !isNull {
		if err := f.array(func() error { return f.entry(name, &e) }); err != nil {
			return err
		}
	}
	if !e.has {
		return nil
	}
	if f.shown[name] {
		return badAnswer("a family comes twice")
	}
	f.comma(len(f.shown))
	f.shown[name] = true
	return f.writeFamily(name, e)
}

// entries are what was read of a family's.
type entries struct {
	count  int
	kind   string           // the TYPE that all agree on, else unknown
	has    bool             // the tenants have series of the family
	shared []jsontext.Value // they themselves, where everybody may read them
	bytes  int
}

// familySuffixes are what the series of a family add to its name, by TYPE: those
// of Prometheus's text format and of OpenMetrics 1.0. A family without them, a
// native histogram for one, has series of its own name.
var familySuffixes = map[string][]string{
	"counter":        {"_total", "_created"},
	"gaugehistogram": {"_bucket", "_gcount", "_gsum"},
	"histogram":      {"_bucket", "_count", "_sum", "_created"},
	"info":           {"_info"},
	"summary":        {"_count", "_sum", "_created"},
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

// hasSome looks for the series of a TYPE only: a tenant's requests_total does not
// tell them that somebody has a gauge named requests.
func (f *metadataFilter) hasSome(name, kind string) bool {
	return f.names[name] || slices.ContainsFunc(familySuffixes[kind], func(suffix string) bool { return f.names[name+suffix] })
}

// hasUntold is hasSome for a TYPE that others tell. What the tenants' own targets
// tell of is no part of it: a tenant's gauge jobs_count must not tell them of
// somebody's summary named jobs.
func (f *metadataFilter) hasUntold(name, kind string) bool {
	untold := func(suffix string) bool { return f.names[name+suffix] && !f.told[name+suffix] }
	return untold("") || slices.ContainsFunc(familySuffixes[kind], untold)
}

// seriesOf are the names of the series that families may have.
func seriesOf(families map[string][]familyText) map[string]bool {
	all := map[string]bool{}
	for name, texts := range families {
		all[name] = true
		for _, t := range texts {
			for _, suffix := range familySuffixes[t.kind] {
				all[name+suffix] = true
			}
		}
	}
	return all
}

// hasToldItself reports whether the tenants have series of a family by what their
// own targets tell of it, or by its very name.
func (f *metadataFilter) hasToldItself(name string) bool {
	if own := f.texts[name]; len(own) > 0 {
		return slices.ContainsFunc(own, func(t familyText) bool { return f.hasSome(name, t.kind) })
	}
	return f.hasUntold(name, "")
}

// entry reads the entry of a family that comes next.
func (f *metadataFilter) entry(name string, e *entries) error {
	raw, err := f.value()
	if err != nil {
		return err
	}
	if f.fields, err = f.split(f.fields[:0], raw); err != nil {
		return err
	}
	text, err := f.unquote(find(f.fields, "type"))
	if err != nil {
		return err
	}
	said := knownKind(text)
	if e.count == 0 {
		e.kind = said
	}
	if e.count++; e.kind != said {
		e.kind = "unknown"
	}
	e.has = e.has || len(f.texts[name]) == 0 && f.hasUntold(name, said)
	if !f.view.sharedMetadata || f.cut(e.count) < e.count {
		return nil
	}
	if e.bytes += len(raw); e.bytes > maxElement {
		return badAnswer("the entries of a family are larger than %d bytes", maxElement)
	}
	e.shared = append(e.shared, raw.Clone())
	return nil
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

func (f *metadataFilter) writeFamily(name string, e entries) error {
	quoted, err := jsontext.AppendQuote(nil, name)
	if err != nil {
		return err
	}
	f.writeBytes(quoted)
	f.write(`:[`)
	switch texts := f.texts[name]; {
	case f.view.sharedMetadata:
		for i, entry := range e.shared {
			f.comma(i)
			f.writeBytes(entry)
		}
	case e.count > 0:
		if len(texts) == 0 {
			texts = []familyText{{help: `""`, unit: `""`}}
		}
		for i, t := range texts[:f.cut(len(texts))] {
			f.comma(i)
			f.write(`{"type":"` + e.kind + `","help":` + t.help + `,"unit":` + t.unit + `}`)
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

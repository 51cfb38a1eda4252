package filter

import (
	"errors"
	"io"
	"net/url"
	"slices"
	"strconv"

	"github.com/promfence/promfence/proxy/apierr"

	"github.com/go-json-experiment/json/jsontext"
)

// CheckMetadata refuses what Prometheus refuses about the limits of
// /api/v1/metadata and /api/v1/targets/metadata, which promfence applies itself
// and does not forward. The texts are Prometheus's.
func (v View) CheckMetadata() error {
	_, err := limitParam(v.Params, "limit")
	if err == nil {
		_, err = limitParam(v.Params, "limit_per_metric")
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
		return 0, apierr.BadData("%s must be a number", name)
	}
	return max(n, -1), nil
}

// Metadata shows the metric families that the tenants have series of. What
// anybody wrote as HELP or UNIT is shown from the tenants' own targets, or from
// all with tenancy.shared_metadata. So is TYPE; a family that none of the tenants'
// own targets describes has the TYPE that all of its entries agree on.
func (v View) Metadata(dst io.Writer, src io.Reader) error {
	f, err := newMetadataFilter(dst, src, v)
	if err != nil {
		return err
	}
	f.show = func(e family) error {
		f.comma(len(f.shown) - 1)
		return f.writeFamily(e)
	}
	return f.run()
}

func newMetadataFilter(dst io.Writer, src io.Reader, v View) (*metadataFilter, error) {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return nil, err
	}
	f := &metadataFilter{answer: a, shown: map[string]bool{}}
	if f.limit, err = limitParam(v.Params, "limit"); err != nil {
		return nil, err
	}
	if f.perFamily, err = limitParam(v.Params, "limit_per_metric"); err != nil {
		return nil, err
	}
	if v.Names == nil {
		return nil, errors.New("Metadata was called without the identity's names")
	}
	if f.series, err = v.Names(); err != nil {
		return nil, err
	}
	if v.Texts != nil {
		texts, err := v.Texts()
		if err != nil {
			return nil, err
		}
		f.texts, f.described = texts.families, seriesOf(texts.families)
	}
	return f, nil
}

func (f *metadataFilter) run() error {
	return f.filter(func() error {
		f.write(`{`)
		err := f.members(maxName, f.family) // as many as there are, so only those shown are remembered
		f.write(`}`)
		return err
	})
}

type metadataFilter struct {
	*answer
	limit, perFamily int
	series           Names                   // of the tenants' series
	texts            map[string][]familyText // of the tenants' own targets
	described        map[string]bool         // names of the series that these are about
	shown            map[string]bool
	show             func(family) error // takes each family that is shown

	fields []member // of the entry that is read
	joined []byte   // scratch: the name of a series
}

// family shows the entries of one family, or nothing. They are read one by one
// and held only where everybody may read them: others may have as many and as
// large ones as they like.
func (f *metadataFilter) family(unquoted []byte, whole bool) error {
	if !whole || !f.mayHave(unquoted) || f.limit >= 0 && len(f.shown) >= f.limit {
		return f.value()
	}
	name := string(unquoted)
	e := family{name: name, has: f.hasByOwnTargets(name)}
	if isNull, err := f.null(); err != nil {
		return err
	} else if !isNull {
		if err := f.array(func() error { return f.entry(&e) }); err != nil {
			return err
		}
	}
	if !e.has {
		return nil
	}
	if f.shown[name] {
		return badAnswer("a family comes twice")
	}
	f.shown[name] = true
	return f.show(e)
}

// A family is what was read of a family's entries.
type family struct {
	name   string
	count  int
	kind   string           // the TYPE that all agree on, else unknown
	has    bool             // the tenants have series of the family
	shared []jsontext.Value // the entries, where everybody may read them
	bytes  int
	hidden []string // the TYPEs of those whose texts are too large or strange to be shown
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

// allSuffixes are the empty one and those of any TYPE.
var allSuffixes = func() []string {
	all := []string{""}
	for _, suffixes := range familySuffixes {
		all = append(all, suffixes...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}()

// mayHave is a quick look, before a family's TYPE is known.
func (f *metadataFilter) mayHave(name []byte) bool {
	return slices.ContainsFunc(allSuffixes, func(suffix string) bool {
		f.joined = append(append(f.joined[:0], name...), suffix...)
		return f.series[string(f.joined)]
	})
}

// has looks for the series of a TYPE only: a tenant's requests_total does not tell
// them that somebody has a gauge named requests.
func (f *metadataFilter) has(name, kind string) bool {
	return f.series[name] || slices.ContainsFunc(familySuffixes[kind], func(suffix string) bool { return f.series[name+suffix] })
}

// hasUndescribed reports whether the tenants have a series of this family and TYPE
// that none of their own targets describes. Example: a tenant whose target
// describes the gauge jobs_count must not learn from it that somebody else has a
// summary named jobs.
func (f *metadataFilter) hasUndescribed(name, kind string) bool {
	undescribed := func(suffix string) bool { return f.series[name+suffix] && !f.described[name+suffix] }
	return undescribed("") || slices.ContainsFunc(familySuffixes[kind], undescribed)
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

// hasByOwnTargets reports whether the tenants have series of a family as their own
// targets describe it, or else by its very name.
func (f *metadataFilter) hasByOwnTargets(name string) bool {
	if texts := f.texts[name]; len(texts) > 0 {
		return slices.ContainsFunc(texts, func(t familyText) bool { return f.has(name, t.kind) })
	}
	return f.hasUndescribed(name, "")
}

package main

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

const (
	backfill = 15 * time.Minute // so that a rate over five minutes has something to go by at once
	interval = 5 * time.Second
)

var background = context.Background()

// A history is every sample of the demo from a moment on until now. All of them are
// functions of time, so none is stored.
type history struct{ born time.Time }

// Querier returns what reads a span of time.
func (h history) Querier(mint, maxt int64) (storage.Querier, error) {
	return querier{h, time.UnixMilli(mint), time.UnixMilli(maxt)}, nil
}

// names are the label sets of all series.
func (h history) names() (all []labels.Labels) {
	for _, s := range sources {
		s.expose(h.born, h.born, func(name string, _ float64, pairs ...string) { all = append(all, s.labels(name, pairs)) })
	}
	return all
}

type querier struct {
	history
	from, until time.Time
}

// Select makes the samples of the series that match.
func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	first, last := q.born, time.Now()
	if q.from.After(first) {
		first = q.from.Truncate(interval)
	}
	if q.until.Before(last) {
		last = q.until
	}
	var all []storage.Series
	for _, s := range sources {
		var found []*listed
		for at := first; !at.After(last); at = at.Add(interval) {
			i := 0
			s.expose(at, q.born, func(name string, value float64, pairs ...string) {
				if at.Equal(first) {
					ls := s.labels(name, pairs)
					found = append(found, &listed{ls: ls, wanted: matches(ls, ms)})
				}
				found[i].samples = append(found[i].samples, sample{at.UnixMilli(), value})
				i++
			})
		}
		for _, f := range found {
			if f.wanted {
				all = append(all, storage.NewListSeries(f.ls, f.samples))
			}
		}
	}
	slices.SortFunc(all, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return &set{all: all, at: -1}
}

// A listed series is one that is being made.
type listed struct {
	ls      labels.Labels
	wanted  bool
	samples []chunks.Sample
}

func matches(ls labels.Labels, ms []*labels.Matcher) bool {
	return !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) })
}

// LabelValues are asked for by the API, not by the engine.
func (q querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// LabelNames likewise.
func (q querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// Close has nothing to close.
func (q querier) Close() error { return nil }

// A set hands one series after another to the engine.
type set struct {
	all []storage.Series
	at  int
}

// Next goes to the next series.
func (s *set) Next() bool { s.at++; return s.at < len(s.all) }

// At is the current series.
func (s *set) At() storage.Series { return s.all[s.at] }

// Err is never one.
func (s *set) Err() error { return nil }

// Warnings are none.
func (s *set) Warnings() annotations.Annotations { return nil }

// A sample is a number at a time.
type sample struct {
	t int64
	v float64
}

// T is its time.
func (s sample) T() int64 { return s.t }

// ST is when its counter began, which is not known.
func (s sample) ST() int64 { return 0 }

// F is its value.
func (s sample) F() float64 { return s.v }

// H is none: it is no histogram.
func (s sample) H() *histogram.Histogram { return nil }

// FH likewise.
func (s sample) FH() *histogram.FloatHistogram { return nil }

// Type is that of a number.
func (s sample) Type() chunkenc.ValueType { return chunkenc.ValFloat }

// Copy is the same: nothing in it is shared.
func (s sample) Copy() chunks.Sample { return s }

// namesOf are the names of the labels that any of the sets has, in order.
func namesOf(sets []labels.Labels) []string {
	return collect(sets, func(add func(string), ls labels.Labels) { ls.Range(func(l labels.Label) { add(l.Name) }) })
}

// valuesOf are the values of one label.
func valuesOf(sets []labels.Labels, name string) []string {
	return collect(sets, func(add func(string), ls labels.Labels) {
		if v := ls.Get(name); v != "" {
			add(v)
		}
	})
}

func collect(sets []labels.Labels, visit func(add func(string), ls labels.Labels)) []string {
	all := []string{}
	for _, ls := range sets {
		visit(func(s string) { all = append(all, s) }, ls)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

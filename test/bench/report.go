package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

const (
	mAdded = "added median latency, µs"
	mPeak  = "peak memory, MiB"
	mRise  = "its rise since the warm-up, MiB"
	mHeap  = "live heap above that before the load, MiB"
)

// results are the columns of one scenario's table; promfence is the first.
type results struct {
	columns []column
}

type column struct {
	name             string
	samples          []sample // one of each round
	peak, rise, heap float64
}

func (r *results) print(w io.Writer, s scenario) error {
	if s.added {
		r.subtractDirect()
	}
	fmt.Fprintf(w, "\n%s\n", s.name)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := []string{"", nPromfence}
	for _, c := range r.columns[1:] {
		head = append(head, "÷ "+c.name)
	}
	fmt.Fprintln(t, strings.Join(append(head, "goals"), "\t"))
	for _, m := range s.measures {
		cells := []string{m}
		for i := range r.columns {
			cells = append(cells, r.cell(m, i))
		}
		fmt.Fprintln(t, strings.Join(append(cells, r.verdicts(m, s.goals)), "\t"))
	}
	return t.Flush()
}

// subtractDirect turns latencies into what a proxy adds, and takes the column
// without a proxy away.
func (r *results) subtractDirect() {
	last := len(r.columns) - 1
	for i, c := range r.columns[:last] {
		for n := range c.samples {
			r.columns[i].samples[n][mAdded] = c.samples[n][mP50] - r.columns[last].samples[n][mP50]
		}
	}
	r.columns = r.columns[:last]
}

// cell is promfence's own figure in the first column and a ratio in the others.
// Memory is not divided: what matters is whether it fits.
func (r *results) cell(m string, i int) string {
	switch {
	case m == mPeak:
		return fmt.Sprintf("%.1f", r.columns[i].peak)
	case m == mRise:
		return fmt.Sprintf("%.1f", r.columns[i].rise)
	case m == mHeap && i == 0:
		return fmt.Sprintf("%.1f", r.columns[i].heap)
	case m == mHeap:
		return ""
	case i == 0:
		low, median, high := spread(r.values(m, ""))
		return fmt.Sprintf("%.0f (%.0f–%.0f)", median, low, high)
	}
	low, median, high := spread(r.values(m, r.columns[i].name))
	return fmt.Sprintf("%.2f (%.2f–%.2f)", median, low, high)
}

// values are promfence's figures by round, divided by those of another subject.
func (r *results) values(m, against string) []float64 {
	switch m {
	case mPeak:
		return []float64{r.columns[0].peak}
	case mRise:
		return []float64{r.columns[0].rise}
	case mHeap:
		return []float64{r.columns[0].heap}
	}
	var values []float64
	for n, s := range r.columns[0].samples {
		v := s[m]
		for _, c := range r.columns {
			if c.name == against {
				v /= c.samples[n][m]
			}
		}
		values = append(values, v)
	}
	return values
}

func spread(values []float64) (low, median, high float64) {
	slices.Sort(values)
	return values[0], values[len(values)/2], values[len(values)-1]
}

// verdicts says each goal of a measure, and whether the median reaches it.
func (r *results) verdicts(m string, goals []goal) string {
	var all []string
	for _, g := range goals {
		if g.measure != m {
			continue
		}
		if g.against != "" && !slices.ContainsFunc(r.columns, func(c column) bool { return c.name == g.against }) {
			continue // left out by -against
		}
		_, median, _ := spread(r.values(m, g.against))
		sign, reached := "≤", median <= g.limit
		if g.atLeast {
			sign, reached = "≥", median >= g.limit
		}
		text := fmt.Sprintf("%s %g", sign, g.limit)
		if g.against != "" {
			text += " × " + g.against
		}
		if !reached {
			text += " MISSED"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

package main

import "testing"

func TestShapes(t *testing.T) {
	xs := []float64{1, 10, 100, 1000}
	tests := map[string]struct {
		ys   []float64
		want map[shape]bool
	}{
		"the same everywhere":           {[]float64{50, 52, 49, 51}, map[shape]bool{flat: true, linear: true, bounded: true}},
		"the first point is the least":  {[]float64{50, 60, 80, 70}, map[shape]bool{flat: false, bounded: true}},
		"a line with a base":            {[]float64{51, 60, 150, 1050}, map[shape]bool{flat: false, linear: true, bounded: false}},
		"a square behind a base":        {[]float64{50, 50, 60, 1050}, map[shape]bool{flat: false, linear: true, bounded: false}}, // one notable point shows no exponent
		"a square":                      {[]float64{50, 51, 150, 10050}, map[shape]bool{flat: false, linear: false, bounded: false}},
		"a line that bends up at last":  {[]float64{50, 70, 250, 9000}, map[shape]bool{linear: false}},
		"never much":                    {[]float64{50, 500, 5000, 50000}, map[shape]bool{limited: true}},
		"in the end too much":           {[]float64{50, 500, 5000, 50001}, map[shape]bool{limited: false}},
		"more, and then no more":        {[]float64{50, 60, 200, 205}, map[shape]bool{flat: false, linear: true, bounded: true}},
		"a logarithm is below any line": {[]float64{10, 20, 30, 40}, map[shape]bool{linear: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for s, want := range tt.want {
				if found, ok := s.holds(xs, tt.ys); ok != want {
					t.Errorf("%s: %v, want %v (%s)", s, ok, want, found)
				}
			}
		})
	}
	if found, ok := shape("").holds(xs, xs); ok {
		t.Errorf("the zero shape holds: %s", found)
	}
}

package main

import (
	"fmt"
	"math"
)

// A shape is how a cost may grow with a quantity.
type shape string

const (
	flat    shape = "flat"    // nowhere more than half above the first point
	linear  shape = "linear"  // what is added grows with an exponent of 1
	bounded shape = "bounded" // the last step, which multiplies the quantity, adds no more than a quarter
	limited shape = "≤ 50 ms" // whatever it grows like: a setting limits the quantity to the last point
)

const (
	flatRise    = 1.5
	boundedRise = 1.25
	exponent    = 1.2 // of what is added; a square has 2
	mostMicros  = 50e3
	notable     = 1.25 // times the first point: less is not told from it
)

// holds says what was found, and whether it is the shape.
func (s shape) holds(xs, ys []float64) (found string, ok bool) {
	last := len(ys) - 1
	switch s {
	case flat:
		rise := 0.0
		for _, y := range ys {
			rise = max(rise, y/ys[0])
		}
		return fmt.Sprintf("at most × %.2f", rise), rise <= flatRise
	case bounded:
		rise := ys[last] / ys[last-1]
		return fmt.Sprintf("× %.2f in the last step", rise), rise <= boundedRise
	case linear:
		e := growth(xs, ys)
		if math.IsNaN(e) {
			return fmt.Sprintf("× %.2f", ys[last]/ys[0]), true
		}
		return fmt.Sprintf("exponent %.2f", e), e <= exponent
	case limited:
		return fmt.Sprintf("%.1f ms", ys[last]/1e3), ys[last] <= mostMicros
	}
	return "no such shape", false
}

// growth is the exponent of what a cost has more than at its first point, fitted by
// least squares to the points where that is notable; NaN if fewer than two are.
func growth(xs, ys []float64) float64 {
	var n, sx, sy, sxx, sxy float64
	for i := range xs[1:] {
		if ys[i+1] < notable*ys[0] {
			continue
		}
		x, y := math.Log(xs[i+1]-xs[0]), math.Log(ys[i+1]-ys[0])
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if n < 2 {
		return math.NaN()
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

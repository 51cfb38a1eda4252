package main

import (
	"math"
	"os"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// drawAll writes the curves as an SVG picture, CPU time and memory of each. The axes
// are logarithmic: what grows with the quantity approaches a slope of 1.
func drawAll(all []curve, file string) error {
	const columns, width, height = 4, 6.2 * vg.Centimeter, 4.4 * vg.Centimeter
	var grid [][]*plot.Plot
	for i, c := range all {
		if i%(columns/2) == 0 {
			grid = append(grid, make([]*plot.Plot, columns))
		}
		row, at := grid[len(grid)-1], 2*(i%(columns/2))
		for n, y := range []struct {
			label  string
			want   shape
			values []float64
		}{{"µs of CPU", c.cpu, c.cpus}, {"MiB at most", c.memory, c.mebis}} {
			p, err := c.panel(y.label, y.want, y.values)
			if err != nil {
				return err
			}
			row[at+n] = p
		}
	}
	svg := vgsvg.New(columns*width, vg.Length(len(grid))*height)
	tiles := draw.Tiles{
		Rows: len(grid), Cols: columns, PadX: 5 * vg.Millimeter, PadY: 5 * vg.Millimeter,
		PadTop: 2 * vg.Millimeter, PadBottom: 2 * vg.Millimeter, PadLeft: 2 * vg.Millimeter, PadRight: 4 * vg.Millimeter,
	}
	for i, row := range plot.Align(grid, tiles, draw.New(svg)) {
		for j, place := range row {
			if grid[i][j] != nil {
				grid[i][j].Draw(place)
			}
		}
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = svg.WriteTo(f)
	return err
}

// panel draws one measure of a curve. A logarithmic axis has no place for a quantity
// of 0: that point is in the table only.
func (c *curve) panel(label string, want shape, ys []float64) (*plot.Plot, error) {
	p := plot.New()
	name, _, _ := strings.Cut(c.name, ",")
	p.Title.Text, p.Y.Label.Text, p.X.Label.Text = name, label, "wanted: "+string(want)
	p.Title.TextStyle.Font.Size, p.Title.Padding = 9, vg.Millimeter
	var points plotter.XYs
	low, high := ys[0], ys[0]
	for i, x := range c.points {
		low, high = min(low, ys[i]), max(high, ys[i])
		if x > 0 {
			points = append(points, plotter.XY{X: float64(x), Y: ys[i]})
		}
	}
	line, marks, err := plotter.NewLinePoints(points)
	if err != nil {
		return nil, err
	}
	marks.Shape, marks.Radius = draw.CircleGlyph{}, 1.5
	p.Add(plotter.NewGrid(), line, marks)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Scale, axis.Tick.Marker = plot.LogScale{}, plot.TickerFunc(powers)
		axis.Label.TextStyle.Font.Size, axis.Tick.Label.Font.Size = 8, 7
	}
	p.Y.Min, p.Y.Max = low/4, high*4 // what is flat looks flat
	return p, nil
}

// powers are the ticks of a logarithmic axis; each power of ten has a label.
func powers(low, high float64) []plot.Tick {
	ticks := plot.LogTicks{Prec: -1}.Ticks(low, high)
	for i, t := range ticks {
		if exponent := int(math.Round(math.Log10(t.Value))); t.Label != "" && exponent > 3 {
			ticks[i].Label = "10" + string([]rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[exponent])
		}
	}
	return ticks
}

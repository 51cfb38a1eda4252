package answer

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// However an answer is cut into reads, what its query read is found in its statistics and
// nowhere else, and the statistics that promfence asked for are spaces.
func TestMeter(t *testing.T) {
	const (
		stats  = `,"stats":{"timings":{"evalTotalTime":0.01},"samples":{"totalQueryableSamples":80,"samplesRead":44,"seriesTouched":1,"peakSamples":9}}`
		all    = `,"stats":{"timings":{},"samples":{"totalQueryableSamplesPerStep":[[1,2]],"totalQueryableSamples":80,"samplesReadPerStep":[[1,7],[2,8]],"samplesRead":15,"peakSamples":9}}`
		cost   = `,"cost":{"estimated":{"seriesTouched":1,"samplesRead":7},"actual":{"seriesTouched":1,"samplesRead":40,"peakSamples":12}}`
		labels = `[{"metric":{"stats":"x","samplesRead":"5","actual":"y","b":",\"stats\":{\"samplesRead\":3}"},"value":[1,"2"]}]`
		before = `{"status":"success","data":{"resultType":"vector","result":` + labels
		behind = `},"warnings":["PromQL warning: x"]}`
	)
	for _, tt := range []struct {
		name, body string
		where      metering
		samples    int64
		want       string // with spaces
	}{
		{"statistics that were added", before + stats + behind, statsAdded, 44, before + strings.Repeat(" ", len(stats)) + behind},
		{"and the cost that the caller wants", before + stats + cost + behind, statsAdded, 44, before + strings.Repeat(" ", len(stats)) + cost + behind},
		{"statistics that the caller wants", before + stats + behind, statsWanted, 44, before + stats + behind},
		{"those of each step", before + all + behind, statsWanted, 15, before + all + behind},
		{"the cost alone", before + cost + behind, costWanted, 40, before + cost + behind},
		{"nobody asked", before + stats + behind, unmetered, 0, before + stats + behind},
		{"none came", before + behind, statsAdded, 0, before + behind},
		{"an upstream whose statistics tell less", before + `,"stats":{"samples":{"peakSamples":9}}` + behind, statsWanted, 0, before + `,"stats":{"samples":{"peakSamples":9}}` + behind},
		{"more than anybody reads", before + `,"stats":{"samples":{"samplesRead":99999999999999999999}}` + behind, statsWanted, 0, before + `,"stats":{"samples":{"samplesRead":99999999999999999999}}` + behind},
	} {
		for how, cut := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader,
			"in steps": func(r io.Reader) io.Reader { return &ladder{r: r} }, "with the end": iotest.DataErrReader,
		} {
			for out, read := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r }, "in steps": func(r io.Reader) io.Reader { return &ladder{r: r} },
			} {
				var m meter
				got, err := io.ReadAll(read(m.meter(cut(strings.NewReader(tt.body)), tt.where)))
				if err != nil || string(got) != tt.want || m.Samples() != tt.samples || !json.Valid(got) {
					t.Errorf("%s, %s, read %s: %d samples of\n%s, %v, want %d of\n%s", tt.name, how, out, m.Samples(), got, err, tt.samples, tt.want)
				}
			}
		}
	}
}

// An answer that breaks off within its statistics is not whole.
func TestMeterPassesAnErrorOn(t *testing.T) {
	var m meter
	src := io.MultiReader(strings.NewReader(`{"data":{"result":[],"stats":{"samples":{"samplesRead":4`), iotest.ErrReader(io.ErrUnexpectedEOF))
	if got, err := io.ReadAll(m.meter(src, statsWanted)); err == nil || len(got) == 0 {
		t.Errorf("%s, %v", got, err)
	}
}

func BenchmarkMeter(b *testing.B) {
	body := `{"status":"success","data":{"resultType":"matrix","result":[` + strings.Repeat(`[1700000015,"123.45"],`, 50_000) + `],"stats":{"samples":{"samplesRead":44}}}}`
	b.SetBytes(int64(len(body)))
	buf := make([]byte, 128<<10)
	for b.Loop() {
		var m meter
		for src := m.meter(strings.NewReader(body), statsAdded); ; {
			if _, err := src.Read(buf); err != nil {
				break
			}
		}
	}
}

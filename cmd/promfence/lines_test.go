package main_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	promfence "github.com/promfence/promfence/cmd/promfence"
)

// A writes keeps what comes in one write each.
type writes []string

func (w *writes) Write(b []byte) (int, error) {
	*w = append(*w, string(b))
	return len(b), nil
}

func TestLinesAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got writes
		l := zerolog.New(promfence.NewLineWriter(&got))
		l.Info().Msg("1")
		l.Info().Msg("2")
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		l.Info().Msg("3")
		l.Error().Msg("4")
		l.Warn().Msg("5")
		l.Info().Str("much", strings.Repeat("x", 64<<10)).Send()
		time.Sleep(time.Second)
		synctest.Wait()
		for i := range got {
			got[i] = strings.NewReplacer(`{"level":`, "", `"message":`, "", "}\n", ";", `"`, "", "x", "").Replace(got[i])
		}
		want := writes{"info,1;info,2;", "info,3;error,4;", "warn,5;", "info,much:;"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

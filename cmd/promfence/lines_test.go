package main_test

import (
	"strings"
	"syscall"
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

// A small disk takes so many bytes, and none of what comes after.
type smallDisk struct {
	room int
	text strings.Builder
}

func (d *smallDisk) Write(b []byte) (int, error) {
	n := min(len(b), d.room)
	d.room -= n
	d.text.Write(b[:n])
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func TestALineThatWasTornDoesNotSpoilTheNext(t *testing.T) {
	disk := &smallDisk{room: 20}
	l := zerolog.New(promfence.NewLineWriter(disk))
	l.Warn().Msg("does not fit")
	disk.room = 100
	l.Warn().Msg("after")
	want := `{"level":"warn","mes` + "\n" + `{"level":"warn","message":"after"}` + "\n"
	if diff := cmp.Diff(want, disk.text.String()); diff != "" {
		t.Error(diff)
	}
}

package property_test

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/teststorage"
)

// worlds are three storages that are written at once: the embedded one as the
// writer spells it, alone with the copies that may be seen, and crowd with others
// besides, which differ in value so that a sum tells.
type worlds struct {
	storage.Storage
	alone, crowd storage.Storage

	copies
}

// copies are the labels that each series gets in its copies. An empty value is a
// label that the series lacks.
type copies struct{ seen, others []map[string]string }

// tenantCopies are those of tenants, and of others with names like theirs.
func tenantCopies(tenants []string) (c copies) {
	for _, name := range tenants {
		c.seen = append(c.seen, map[string]string{"tenant_id": name})
	}
	for _, name := range []string{"", "globex", "acme2", "ACME"} {
		c.others = append(c.others, map[string]string{"tenant_id": name})
	}
	return c
}

func newWorlds(t testing.TB, c copies) *worlds {
	open := func() storage.Storage {
		return teststorage.New(t, func(o *tsdb.Options) {
			o.WALSegmentSize = -1 // Nothing is to outlive the test.
			o.EnableSTStorage = true
			o.FloatChunkEncoding = chunkenc.EncXOR2
			o.EnableHistogramSTEncoding = true
		})
	}
	return &worlds{open(), open(), open(), c}
}

func (w *worlds) Close() error {
	return errors.Join(w.Storage.Close(), w.alone.Close(), w.crowd.Close())
}

func (w *worlds) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &copier{w.Storage.AppenderV2(ctx), w.alone.AppenderV2(ctx), w.crowd.AppenderV2(ctx), w.copies}
}

// A copier appends every sample to all worlds.
type copier struct {
	storage.AppenderV2
	alone, crowd storage.AppenderV2

	copies
}

func (c *copier) Commit() error {
	return errors.Join(c.AppenderV2.Commit(), c.alone.Commit(), c.crowd.Commit())
}

func (c *copier) Rollback() error {
	return errors.Join(c.AppenderV2.Rollback(), c.alone.Rollback(), c.crowd.Rollback())
}

func (c *copier) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AppendV2Options) (storage.SeriesRef, error) {
	var failed []error
	add := func(to storage.AppenderV2, more map[string]string, v float64) {
		// A histogram's copy is one's own: the head keeps what it is given.
		h, fh := h, fh
		if h != nil {
			h = h.Copy()
		}
		if fh != nil {
			fh = fh.Copy()
		}
		_, err := to.Append(0, with(ls, more), st, t, v, h, fh, o)
		failed = append(failed, err)
	}
	for _, more := range c.others {
		add(c.crowd, more, 3*v+1000)
	}
	for _, more := range c.seen {
		add(c.alone, more, v)
		add(c.crowd, more, v)
	}
	ref, err := c.AppenderV2.Append(ref, ls, st, t, v, h, fh, o)
	return ref, errors.Join(append(failed, err)...)
}

func with(ls labels.Labels, more map[string]string) labels.Labels {
	b := labels.NewBuilder(ls)
	for name, value := range more {
		if value != "" {
			b.Set(name, value)
		}
	}
	return b.Labels()
}

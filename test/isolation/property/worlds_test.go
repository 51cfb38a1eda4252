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
// writer spells it, alone with the tenants' copies, and crowd with those of
// others besides, who differ in value so that a sum tells.
type worlds struct {
	storage.Storage
	alone, crowd storage.Storage

	tenants []string
}

// strangers are the others; "" is who has no tenant.
var strangers = []string{"", "globex", "acme2", "ACME"}

func newWorlds(t testing.TB, tenants []string) *worlds {
	open := func() storage.Storage {
		return teststorage.New(t, func(o *tsdb.Options) {
			o.WALSegmentSize = -1 // Nothing is to outlive the test.
			o.EnableSTStorage = true
			o.FloatChunkEncoding = chunkenc.EncXOR2
			o.EnableHistogramSTEncoding = true
		})
	}
	return &worlds{open(), open(), open(), tenants}
}

func (w *worlds) Close() error {
	return errors.Join(w.Storage.Close(), w.alone.Close(), w.crowd.Close())
}

func (w *worlds) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &copier{w.Storage.AppenderV2(ctx), w.alone.AppenderV2(ctx), w.crowd.AppenderV2(ctx), w.tenants}
}

// A copier appends every sample to all worlds.
type copier struct {
	storage.AppenderV2
	alone, crowd storage.AppenderV2

	tenants []string
}

func (c *copier) Commit() error {
	return errors.Join(c.AppenderV2.Commit(), c.alone.Commit(), c.crowd.Commit())
}

func (c *copier) Rollback() error {
	return errors.Join(c.AppenderV2.Rollback(), c.alone.Rollback(), c.crowd.Rollback())
}

func (c *copier) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AppendV2Options) (storage.SeriesRef, error) {
	var failed []error
	add := func(to storage.AppenderV2, tenant string, v float64) {
		// A histogram's copy is one's own: the head keeps what it is given.
		h, fh := h, fh
		if h != nil {
			h = h.Copy()
		}
		if fh != nil {
			fh = fh.Copy()
		}
		_, err := to.Append(0, withTenant(ls, tenant), st, t, v, h, fh, o)
		failed = append(failed, err)
	}
	for _, tenant := range strangers {
		add(c.crowd, tenant, 3*v+1000)
	}
	for _, tenant := range c.tenants {
		add(c.alone, tenant, v)
		add(c.crowd, tenant, v)
	}
	ref, err := c.AppenderV2.Append(ref, ls, st, t, v, h, fh, o)
	return ref, errors.Join(append(failed, err)...)
}

func withTenant(ls labels.Labels, tenant string) labels.Labels {
	b := labels.NewBuilder(ls)
	if tenant != "" {
		b.Set("tenant_id", tenant)
	}
	return b.Labels()
}

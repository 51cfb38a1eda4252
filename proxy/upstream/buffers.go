package upstream

import (
	"sync"
	"sync/atomic"
)

// A bufferPool lends the buffers that answers are copied with: large ones, and
// small ones while many are lent. All callers at once would else have a large
// one each, whenever none of them gets on.
type bufferPool struct {
	large, small sync.Pool
	lent         atomic.Int32 // large ones
}

// A copy is a read, a write and a flush for each buffer. With half of the large
// one, large answers cost a seventh more.
const (
	largeBuffer = 128 << 10
	smallBuffer = 16 << 10
	mostLarge   = 16
)

func (b *bufferPool) Get() []byte {
	if b.lent.Add(1) <= mostLarge {
		if buf, ok := b.large.Get().(*[largeBuffer]byte); ok {
			return buf[:]
		}
		return new([largeBuffer]byte)[:]
	}
	b.lent.Add(-1)
	if buf, ok := b.small.Get().(*[smallBuffer]byte); ok {
		return buf[:]
	}
	return new([smallBuffer]byte)[:]
}

func (b *bufferPool) Put(buf []byte) {
	if len(buf) == smallBuffer {
		b.small.Put((*[smallBuffer]byte)(buf))
		return
	}
	b.large.Put((*[largeBuffer]byte)(buf))
	b.lent.Add(-1)
}

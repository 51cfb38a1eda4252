package upstream

import "testing"

func TestBuffersForManyAnswersAreSmall(t *testing.T) {
	var pool bufferPool
	lend := func() (bufs [][]byte, size int) {
		for range 500 {
			buf := pool.Get()
			bufs, size = append(bufs, buf), size+len(buf)
		}
		return bufs, size
	}
	bufs, size := lend()
	if len(bufs[0]) != largeBuffer {
		t.Errorf("the first of many answers is copied by %d bytes, want %d", len(bufs[0]), largeBuffer)
	}
	if most := mostLarge*largeBuffer + 500*smallBuffer; size > most {
		t.Errorf("500 answers at once hold %d bytes, want at most %d", size, most)
	}
	for _, buf := range bufs {
		pool.Put(buf)
	}
	if _, again := lend(); again != size {
		t.Errorf("the next 500 get %d bytes, the first had %d: what is given back is lent again", again, size)
	}
}

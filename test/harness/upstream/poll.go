package upstream

import (
	"context"
	"time"
)

// Poll asks until ok answers nil, and gives up with the last answer after
// limit. It is for other processes, whose clock a test cannot turn.
func Poll(ctx context.Context, limit time.Duration, ok func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

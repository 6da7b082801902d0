package main

import (
	"context"
	"time"
)

// now is the time by which runs are measured: the real one.
func now() time.Time { return time.Now() } //nolint:forbidigo // see above

// pause waits, and tells whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// poll asks every few milliseconds until done says so, or ctx ends.
func poll(ctx context.Context, done func() bool) error {
	for !done() {
		if !pause(ctx, 10*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// pauseExactly waits like pause, and comes no later than it must.
func pauseExactly(ctx context.Context, d time.Duration) bool {
	const short = 3 * time.Millisecond
	until := now().Add(d)
	if d > short && !pause(ctx, d-short) {
		return false
	}
	if left := until.Sub(now()); left > 0 {
		nap(left)
	}
	return ctx.Err() == nil
}

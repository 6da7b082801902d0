package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Calls share their time with others that begin at about the same moment, and with
// nobody who began long before, or on behalf of somebody else.
func TestLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const length, share = 64 * time.Second, time.Second
		l := &limit{length: length, now: time.Now}
		on, cancel := context.WithCancel(t.Context())
		begun := time.Now()
		first := l.begin(on)
		time.Sleep(share - 1)
		if l.begin(on) != first {
			t.Error("a call at about the same moment has a time of its own")
		}
		if other := l.begin(t.Context()); other == first || l.begin(on) == first {
			t.Error("a call on behalf of another shares its time")
		}
		second := l.begin(on)
		time.Sleep(share)
		third := l.begin(on)
		if third == second {
			t.Error("a call that begins later shares the time of an earlier one")
		}
		<-first.Done()
		if took := time.Since(begun); took != length || !errors.Is(first.Err(), context.DeadlineExceeded) {
			t.Errorf("the first one's time is over after %v, %v, want %v", took, first.Err(), length)
		}
		if until, _ := third.Deadline(); until.Sub(begun) < length+share || third.Err() != nil {
			t.Errorf("a later one has until %v after the beginning, %v", until.Sub(begun), third.Err())
		}
		cancel()
		if !errors.Is(third.Err(), context.Canceled) {
			t.Errorf("after the end it is %v", third.Err())
		}
		if fresh := l.begin(t.Context()); fresh.Err() != nil {
			t.Errorf("a new one is over: %v", fresh.Err())
		}
	})
}
